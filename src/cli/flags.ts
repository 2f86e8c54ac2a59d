/** How flags are read: what they allow is said where they are wrong. */
import { InvalidArgumentError } from "commander";

/** A flag that may come several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

export function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("allowed: a whole number.");
  return Number(text);
}

export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError("allowed: a number above 0.");
  }
  return value;
}

/** A share, written as a whole number of percent. */
export function percent(text: string): number {
  if (!/^\d{1,3}$/.test(text) || Number(text) > 100)
    throw new InvalidArgumentError("allowed: a whole number from 0 to 100.");
  return Number(text) / 100;
}
