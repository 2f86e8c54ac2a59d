/** All attacks by name: those of strangers and those of members. */
import { STRANGE } from "./attacks.ts";
import type { Attack } from "./attacks.ts";
import { SIGNED } from "./signed.ts";

export const ALL: Readonly<Record<string, Attack>> = { ...STRANGE, ...SIGNED };
