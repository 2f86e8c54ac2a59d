/**
 * Writes the verifying key of the recursive circuit: `node scripts/pickles.ts [--out DIR]`, after `npm ci --prefix config/pickles`.
 *
 * There is no secret in it: whoever runs this gets the same key, but for the proof that it brings along, which is another each
 * time and of a run without items.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ZERO_HASH } from "../src/protocol/ids.ts";
import { circuitItems, circuitValues, createCircuit } from "../src/proofs/pickles/circuit.ts";
import { loadO1js } from "../src/proofs/pickles/o1js.ts";
import { decodePicklesValues, picklesRuns, picklesValuesOf } from "../src/proofs/pickles/statement.ts";
import { encodeProof, poseidonOf, writePicklesKey } from "../src/proofs/pickles/verify.ts";
import { NOBODY } from "../src/protocol/payee.ts";
import { fold, witnessOf } from "../src/provers/statement.ts";
import { ROOT, say } from "./setup.ts";

const { values: options } = parseArgs({ options: { out: { type: "string", default: join(ROOT, "config/keys") } } });

const o1js = await loadO1js();
const circuit = createCircuit(o1js);
const { verificationKey } = await circuit.compile({ cache: o1js.Cache.FileSystemDefault });
const [run] = picklesRuns([fold(0n, [])], poseidonOf(o1js));
if (run === undefined) throw new Error("one of one");
const values = picklesValuesOf(run, ZERO_HASH, "sample", 0, NOBODY);
const context = decodePicklesValues(values)?.context;
if (context === undefined) throw new Error("values out of range");
const witness = witnessOf(run, context);
const { proof } = await circuit.shard(circuitValues(o1js, witness), circuitItems(o1js, witness));
const sample = { values, proof: encodeProof(values, proof.toJSON()) };
writeFileSync(join(options.out, "shard.pickles.json"), writePicklesKey({ data: verificationKey.data, sample }));
say(`${options.out}/shard.pickles.json`);
