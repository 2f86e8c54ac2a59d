import type { Done, Fault, Result } from "../../src/ports.ts";

/** What a call hands to its completion, which has to come later than the call and once. */
export function resultOf<T>(call: (done: Done<T>) => void): Promise<Result<T>> {
  return new Promise((resolve, reject) => {
    let state: "calling" | "waiting" | "done" = "calling";
    call((result) => {
      if (state !== "waiting") reject(new Error(`a completion while ${state}`));
      state = "done";
      resolve(result);
    });
    if (state === "calling") state = "waiting";
  });
}

export async function valueOf<T>(call: (done: Done<T>) => void): Promise<T> {
  const result = await resultOf(call);
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

export async function faultOf<T>(call: (done: Done<T>) => void): Promise<Fault> {
  const result = await resultOf(call);
  if (result.ok) throw new Error("it succeeded");
  return result.fault;
}
