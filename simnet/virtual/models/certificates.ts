/** Certificates with the votes of some attesters, in which a vote may be there twice, or of a key that does not attest. */
import { contentOf } from "../../../src/core/barrier.ts";
import { voteOf } from "../../../src/protocol/batch.ts";
import { checkCertificate, encodeCertificate } from "../../../src/protocol/certificate.ts";
import { blockId } from "../../../src/protocol/ids.ts";
import { Chance } from "../world.ts";
import { equation, Rig, shuffled, STAGES } from "./rig.ts";

const STORIES = 60;

// CERT-1.
/** A certificate is accepted if votes of a quorum are in it, and none is of anybody else. */
export function fuzzCertificates(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/certificates");
  const rig = new Rig();
  const id = blockId(rig.manifest.network, rig.announcement());
  for (const source of rig.attesters.slice(1, 3)) rig.hear(rig.sign(source, rig.announcement()));
  for (const stage of STAGES) rig.complete(id, stage);
  const block = rig.block(id);
  const content = block === undefined ? null : contentOf(rig.state, block);
  if (content === null) return ["F4: the block has no content"];
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < 3; story++) {
    const keys = shuffled(rig.attesters, () => chance.next()).slice(0, chance.between(1, rig.attesters.length));
    if (chance.next() < 0.2) keys.push(rig.provers[0] ?? "");
    const votes = keys.map((key) => voteOf(rig.sign(key, { kind: "barrier", block: id, content: content.hash }), 0));
    const { ok } = checkCertificate(rig.manifest, encodeCertificate(content.value, votes), equation);
    const isQuorum = keys.length >= 3 && keys.every((key) => rig.attesters.includes(key));
    if (ok !== isQuorum) found.push(`F4: a certificate of ${keys.length} votes is ${ok ? "accepted" : "refused"}`);
  }
  return found;
}
