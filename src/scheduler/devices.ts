/**
 * Who has what of this machine: its GPUs, each for one task at a time, and its CPUs and memory by the count.
 *
 * There is one of these for a node, whatever it has of provers and partitions, so nothing is handed out twice.
 */
import type { Device } from "../ports.ts";
import type { Resources } from "../protocol/workflow.ts";

export interface DeviceStatus extends Device {
  /** The task that has it, and the prover that makes it. */
  readonly holder: { readonly task: string; readonly prover: string } | null;
}

type Holder = NonNullable<DeviceStatus["holder"]>;

/** What one task has until it gives it back. */
export interface Held {
  readonly devices: readonly Device[];
  release(): void;
}

interface Place {
  readonly device: Device;
  holder: Holder | null;
}

export class Devices {
  readonly #places: readonly Place[];
  #cpus: number;
  #memoryBytes: number;

  constructor(devices: readonly Device[], { cpus, memoryBytes }: Pick<Resources, "cpus" | "memoryBytes">) {
    this.#places = devices.map((device) => ({ device, holder: null }));
    this.#cpus = cpus;
    this.#memoryBytes = memoryBytes;
  }

  /** As much as a task could ever have of it: devices of one vendor, for a program is built for one. */
  get most(): Resources {
    const vendors = this.#places.map(({ device }) => device.vendor);
    const gpus = Math.max(0, ...vendors.map((vendor) => vendors.filter((other) => other === vendor).length));
    return { cpus: this.#cpus, gpus, memoryBytes: this.#memoryBytes };
  }

  status(): readonly DeviceStatus[] {
    return this.#places.map(({ device, holder }) => ({ ...device, holder }));
  }

  /** All of it at once, or `null` while some of it is others'. */
  take(wanted: Resources, holder: Holder): Held | null {
    if (wanted.cpus > this.#cpus || wanted.memoryBytes > this.#memoryBytes) return null;
    const places = this.#free(wanted.gpus);
    if (places === null) return null;
    for (const place of places) place.holder = holder;
    this.#cpus -= wanted.cpus;
    this.#memoryBytes -= wanted.memoryBytes;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      for (const place of places) place.holder = null;
      this.#cpus += wanted.cpus;
      this.#memoryBytes += wanted.memoryBytes;
    };
    return { devices: places.map(({ device }) => device), release };
  }

  #free(count: number): readonly Place[] | null {
    if (count === 0) return [];
    for (const vendor of ["nvidia", "amd"] as const) {
      const free = this.#places.filter(({ device, holder }) => device.vendor === vendor && holder === null);
      if (free.length >= count) return free.slice(0, count);
    }
    return null;
  }
}
