/** What a mutant is: a rule, the marked places in the source that break it, and how a checker must notice. */

/** What becomes of the marked code. */
type Change =
  /** The statement goes; of `a && b` or `a || b` the operand no longer matters. */
  | { readonly remove: true }
  /** This code stands in its place. */
  | { readonly replace: string }
  /** This code comes directly after it. */
  | { readonly after: string };

export type Edit = Change & {
  /** The name in the marker: the mutant's own, or for its second place `MUTANT/PLACE`. */
  readonly at: string;
};

export interface Mutant {
  /** The rule that it breaks. */
  readonly rule: string;
  readonly edits: readonly Edit[];
  /** Names of the runs that are tried until one notices, under their own seeds and then under others. */
  readonly runs: readonly string[];
  /** How the violation begins that is looked for. */
  readonly expected: RegExp;
}
