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
