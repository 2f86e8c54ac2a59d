/** What a mutant is: a rule, the fragments of source that break it, and how a checker must notice. */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Mutant {
  /** The rule that it breaks. */
  readonly rule: string;
  readonly edits: readonly Edit[];
  /** Names of the runs below that are tried until one notices. */
  readonly runs: readonly string[];
  /** How the violation begins that is looked for. */
  readonly expected: RegExp;
}
