/**
 * The GPUs of this machine: what the vendors' own programs say that there are, and how a child is told which are its own.
 *
 * A machine without those programs has none, which is the usual case and costs a look at the PATH. What the node itself is
 * kept from seeing (CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES) it has not.
 */
import { execFile } from "node:child_process";
import type { Device, Fault } from "../ports.ts";

export interface Detected {
  readonly devices: readonly Device[];
  /** Programs that are there and give no answer. */
  readonly faults: readonly Fault[];
}

/** A driver in trouble makes them hang; a node starts all the same. */
const ANSWER_MS_MAX = 10_000;
const OUTPUT_BYTES_MAX = 1 << 20;

type Environment = Readonly<Record<string, string | undefined>>;

interface Tool {
  readonly command: string;
  readonly args: readonly string[];
  /** Throws where the answer is none of the program's. */
  readonly read: (output: string) => readonly (Device & { readonly index: string })[];
  /** Which of them the node may see itself. */
  readonly visible: string;
}

const TOOLS: readonly Tool[] = [
  {
    command: "nvidia-smi",
    args: ["--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"],
    read: readNvidia,
    visible: "CUDA_VISIBLE_DEVICES",
  },
  {
    command: "rocm-smi",
    args: ["--showproductname", "--showmeminfo", "vram", "--json"],
    read: readRocm,
    visible: "ROCR_VISIBLE_DEVICES",
  },
];

export async function detectDevices(environment: Environment = process.env): Promise<Detected> {
  const found = await Promise.all(TOOLS.map((tool) => ask(tool, environment)));
  return { devices: found.flatMap(({ devices }) => devices), faults: found.flatMap(({ faults }) => faults) };
}

function ask({ command, args, read, visible }: Tool, environment: Environment): Promise<Detected> {
  const options = {
    env: { ...environment },
    timeout: ANSWER_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
    encoding: "utf8",
  } as const;
  return new Promise((resolve) => {
    execFile(command, [...args], options, (error, output) => {
      if (error !== null && (error as NodeJS.ErrnoException).code === "ENOENT")
        return resolve({ devices: [], faults: [] });
      try {
        if (error !== null) throw new Error(error.killed === true ? `no answer in ${ANSWER_MS_MAX} ms` : error.message);
        resolve({ devices: seen(read(output), environment[visible]), faults: [] });
      } catch (fault) {
        const why = fault instanceof Error ? fault.message : String(fault);
        const message = `${command} says nothing of use, so its devices are not used: ${why.trim().slice(0, 300)}`;
        resolve({ devices: [], faults: [{ code: "devices.undetected", message }] });
      }
    });
  });
}

/** By index, or by how a UUID begins; as the runtimes do, nothing behind a name that is unknown. */
function seen(all: readonly (Device & { readonly index: string })[], visible: string | undefined): Device[] {
  const chosen: Device[] = [];
  const names = visible === undefined ? all.map(({ index }) => index) : visible.split(",").map((name) => name.trim());
  for (const name of names) {
    const found = all.find(({ index, id }) => index === name || (name.startsWith("GPU-") && id.startsWith(name)));
    if (found === undefined) break;
    if (!chosen.some(({ id }) => id === found.id)) chosen.push(found);
  }
  return chosen;
}

/** Lines of `0, GPU-8932f937-..., NVIDIA L4, 23034`; memory in MiB, or `[N/A]` where it is the machine's own. */
function readNvidia(output: string): readonly (Device & { readonly index: string })[] {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [index = "", id = "", ...rest] = line.split(",").map((field) => field.trim());
    const memory = rest.pop();
    if (!/^\d+$/.test(index) || !/^GPU-[0-9a-f-]+$/i.test(id) || memory === undefined)
      throw new Error(`not a line about a GPU: ${line.slice(0, 100)}`);
    const memoryBytes = /^\d+$/.test(memory) ? Number(memory) * 1024 ** 2 : null;
    return { vendor: "nvidia", index, id, name: rest.join(", "), memoryBytes };
  });
}

/** `{"card0": {"Card Series": ..., "VRAM Total Memory (B)": "..."}, ...}`; its number is its index for the runtime. */
function readRocm(output: string): readonly (Device & { readonly index: string })[] {
  const json = JSON.parse(output) as Readonly<Record<string, unknown>>;
  return Object.entries(json).flatMap(([card, about]) => {
    const [, index] = /^card(\d+)$/.exec(card) ?? [];
    if (index === undefined || typeof about !== "object" || about === null) return [];
    const fields = new Map(Object.entries(about).map(([name, value]) => [name.toLowerCase(), String(value)]));
    const memory = Number(fields.get("vram total memory (b)"));
    const name = fields.get("card series") ?? fields.get("card model") ?? "AMD GPU";
    return [
      {
        vendor: "amd",
        index,
        id: index,
        name,
        memoryBytes: Number.isSafeInteger(memory) && memory > 0 ? memory : null,
      },
    ];
  });
}

/** How a program is told of its devices. Some read CUDA_VISIBLE_DEVICES as numbers, and take a UUID for no GPU at all. */
export type DeviceNames = "uuid" | "index";

/** The devices as a program is told of them, with commas between. Of an `index` that nobody knows the id. */
export function namesOf(devices: readonly Device[], names: DeviceNames): string {
  return devices.map(({ id, index }) => (names === "index" ? (index ?? id) : id)).join(",");
}

/**
 * What a child's environment says of the devices that it was given: these, and no others.
 *
 * HIP reads CUDA_VISIBLE_DEVICES as well, as indices of what ROCR_VISIBLE_DEVICES has left; so with AMD's devices the
 * other two are unset, and NVIDIA's, which such a child could see, are none that a program for ROCm would use.
 */
export function deviceEnvironment(
  devices: readonly Device[],
  names: DeviceNames = "uuid",
): Readonly<Record<string, string | undefined>> {
  const of = (vendor: Device["vendor"]): string =>
    namesOf(
      devices.filter((device) => device.vendor === vendor),
      names,
    );
  const [nvidia, amd] = [of("nvidia"), of("amd")];
  const unset = { HIP_VISIBLE_DEVICES: undefined, GPU_DEVICE_ORDINAL: undefined };
  if (amd !== "") return { ...unset, CUDA_VISIBLE_DEVICES: undefined, ROCR_VISIBLE_DEVICES: amd };
  return { ...unset, CUDA_VISIBLE_DEVICES: nvidia, CUDA_DEVICE_ORDER: "PCI_BUS_ID", ROCR_VISIBLE_DEVICES: "" };
}

/** What a configuration may not set besides. */
export const DEVICE_VARIABLES: readonly string[] = [
  "CUDA_VISIBLE_DEVICES",
  "ROCR_VISIBLE_DEVICES",
  "HIP_VISIBLE_DEVICES",
  "GPU_DEVICE_ORDINAL",
];
