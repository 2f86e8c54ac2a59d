/** S7: what an honest node counts of open blocks was signed by a key whose role allows it, and nobody is guilty of less. */
import type { Block, State, Task } from "../../../src/core/state.ts";
import type { Key } from "../../../src/protocol/ids.ts";

/** Offences that a key without a vote can commit. */
const BY_ANYBODY: ReadonlySet<string> = new Set(["two-batches", "two-receipts"]);

type Said = readonly [what: string, keys: Iterable<Key>];

// ENTRY-1.
export function checkRoles(node: string, state: State): string[] {
  const { weights, sources } = state.manifest;
  const found: string[] = [];
  const check = (all: readonly Said[], allowed: { has(key: Key): boolean }) => {
    for (const [what, keys] of all)
      for (const key of keys)
        if (!allowed.has(key)) found.push(`S7: ${node} counts a ${what} of ${short(key)}, that it may not sign`);
  };
  for (const block of state.blocks.values()) {
    if (block.certificate !== null) continue;
    check(
      [
        ["announcement", block.announcers.keys()],
        ["retract", block.retracts.keys()],
      ],
      sources,
    );
    check(votesOn(block), weights);
    for (const task of block.tasks) check(votesAbout(task), weights);
  }
  for (const { voters } of [...state.admissions.values(), ...state.benches.values()])
    check([["vote on the roster", voters.keys()]], weights);
  // EVIDENCE-6.
  for (const { offender, offence } of state.out.values())
    if (!BY_ANYBODY.has(offence) && !weights.has(offender))
      found.push(`S7: ${node} holds ${short(offender)} guilty of a vote that it may not cast (${offence})`);
  return found;
}

function votesOn({ votes, cancels }: Block): Said[] {
  return [["cancel", cancels.keys()], ...[...votes.values()].map((each): Said => ["barrier vote", each.keys()])];
}

function votesAbout({ attempts, proofs, requeues }: Task): Said[] {
  return [
    ["requeue", requeues.keys()],
    ...[...attempts.values()].flatMap(({ timeouts, grants, attests, seals }): Said[] => [
      ["timeout", timeouts.keys()],
      ["seal", seals.keys()],
      ...[...grants.values()].map((each): Said => ["grant", each.keys()]),
      ...[...attests.values()].map((each): Said => ["attest", each.keys()]),
    ]),
    ...[...proofs.values()].flatMap(({ vouchers, rejects }): Said[] => [
      ["vote for a proof", vouchers.keys()],
      ...[...rejects.values()].map((each): Said => ["reject", each.keys()]),
    ]),
  ];
}

function short(key: Key): string {
  return key.slice(0, 8);
}
