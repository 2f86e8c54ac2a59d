/**
 * The child process that runs one verifier module. Standard input has blocks, each a 32-bit little-endian length and so
 * many bytes: the module, then for each question a proof, and a key where the module takes one. Each answer is a line.
 */
import { setFlagsFromString } from "node:v8";
import { callVerifier, type CompiledModule, compileModule } from "./instance.ts";

/** `null`: the module gave no verdict, and the process ends. */
export interface WasmLine {
  readonly holds: boolean | null;
  readonly message?: string;
}

function write(line: WasmLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function* blocks(): AsyncGenerator<Uint8Array> {
  let rest: Buffer = Buffer.alloc(0);
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    parts.push(chunk);
    length += chunk.length;
    for (;;) {
      if (rest.length < 4 && length > 0) rest = join();
      if (rest.length < 4) break;
      const wanted = 4 + rest.readUInt32LE(0);
      if (rest.length + length < wanted) break;
      if (length > 0) rest = join();
      yield rest.subarray(4, wanted);
      rest = rest.subarray(wanted);
    }
  }
  function join(): Buffer {
    const joined = Buffer.concat([rest, ...parts]);
    parts.length = 0;
    length = 0;
    return joined;
  }
}

async function serve(takesKey: boolean): Promise<void> {
  let module: CompiledModule | null = null;
  let proof: Uint8Array | null = null;
  for await (const block of blocks()) {
    if (module === null) {
      module = compileModule(block);
      write({ holds: true });
      continue;
    }
    if (takesKey && proof === null) {
      proof = block.slice();
      continue;
    }
    const holds = callVerifier(module, proof ?? block, takesKey ? block : null);
    proof = null;
    write({ holds });
  }
}

if (import.meta.main) {
  const [, , form, pages] = process.argv;
  // Not when the process starts: Node reads TypeScript with a module of its own, which takes more than a small limit.
  setFlagsFromString(`--wasm-max-mem-pages=${Number(pages)}`);
  serve(form === "key").catch((error: unknown) => {
    write({ holds: null, message: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
    process.stdin.destroy();
  });
}
