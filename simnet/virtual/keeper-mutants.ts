/** Mutants of the decisions about peers: whom a node dials, who may stay, and who is banned. */
import type { Mutant } from "./mutant.ts";

export const KEEPER_MUTANTS: Readonly<Record<string, Mutant>> = {
  "strangers-first": {
    rule: "members are dialled before strangers (PEER-2)",
    edits: [{ at: "strangers-first", replace: "const ranked = [...strangers, ...needed];" }],
    runs: ["keepers"],
    expected: /^K1: /,
  },
  "backoff-unbounded": {
    rule: "a member is dialled again within a bound (PEER-1)",
    edits: [{ at: "backoff-unbounded", replace: "const delayMs = KEEPER.backoffFirstMs * 10 ** target.failures;" }],
    runs: ["keepers"],
    expected: /^K1: /,
  },
  "hearsay-unranked": {
    rule: "strangers do not displace what members tell (PEER-3)",
    edits: [{ at: "hearsay-unranked", replace: "const leaver = [...heard][0];" }],
    runs: ["hearsay"],
    expected: /^K1: /,
  },
  "strangers-asked": {
    rule: "half of the questions for peers go to members (PEER-4)",
    edits: [{ at: "strangers-asked", replace: "const asked = up;" }],
    runs: ["hearsay"],
    expected: /^K1: /,
  },
  "members-cut": {
    rule: "no stranger takes the place of a member (PEER-5)",
    edits: [{ at: "members-cut", replace: "const rivals = seats;" }],
    runs: ["keepers"],
    expected: /^K2: .* cuts the member/,
  },
  "room-unbounded": {
    rule: "32 places are for strangers, and no more (PEER-5)",
    edits: [{ at: "room-unbounded", replace: "if (rivals.length < 1_000) return null;" }],
    runs: ["keepers"],
    expected: /^K2: \d+ strangers have places/,
  },
  "ban-for-ever": {
    rule: "a ban ends with its term (PEER-6)",
    edits: [{ at: "ban-for-ever", replace: "return ban !== undefined;" }],
    runs: ["keepers"],
    expected: /^K3: .* refuses .* without a ban/,
  },
  "ban-term-fixed": {
    rule: "the term of a ban doubles (PEER-6)",
    edits: [{ at: "ban-term-fixed", replace: "const termMs = BAN.firstMs;" }],
    runs: ["keepers"],
    expected: /^K3: ban 2 of /,
  },
  "book-unbounded": {
    rule: "a node keeps the addresses of 512 keys (PEER-3)",
    edits: [{ at: "book-unbounded", remove: true }],
    runs: ["keepers"],
    expected: /^K5: /,
  },
};
