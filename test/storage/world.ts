import type { Clock, Telemetry } from "../../src/ports.ts";

/** Remembers what it was told. */
export interface RecordingTelemetry extends Telemetry {
  readonly events: string[];
  readonly counts: Map<string, number>;
}

export function recordingTelemetry(): RecordingTelemetry {
  const events: string[] = [];
  const counts = new Map<string, number>();
  return {
    events,
    counts,
    emit: (event) => events.push(event),
    count: (name, label) => counts.set(`${name} ${label}`, (counts.get(`${name} ${label}`) ?? 0) + 1),
  };
}

/** A clock whose timers run when the test says so. */
export interface HeldClock extends Clock {
  /** The delays that are waited for now. */
  readonly delaysMs: readonly number[];
  /** Runs the oldest timer. */
  fire(): void;
}

export function heldClock(): HeldClock {
  const timers: { readonly delayMs: number; readonly run: () => void }[] = [];
  return {
    now: () => 0,
    wall: () => 0,
    after: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.push(timer);
      return () => {
        if (timers.includes(timer)) timers.splice(timers.indexOf(timer), 1);
      };
    },
    get delaysMs() {
      return timers.map(({ delayMs }) => delayMs);
    },
    fire: () => timers.shift()?.run(),
  };
}
