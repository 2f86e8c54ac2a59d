/** A run of one state machine alone: a seed gives the sequence of events, and the violations come back. */
export interface Model {
  readonly seed: number;
  readonly run: (seed: number) => readonly string[];
}
