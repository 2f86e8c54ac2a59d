/**
 * Judges a machine's scheduler by what enters it, what it begins, and what ends. The judge shares no code with the
 * scheduler. One slot runs one job, one device belongs to one job, no job is lost, and no job waits beside free room.
 */
export interface JudgedJob {
  readonly queue: string;
  readonly gpus: number;
  readonly server: string | null;
}

interface Known extends JudgedJob {
  state: "queued" | "running" | "lingering";
  devices: readonly string[];
  units: number;
  /** By queue: how many of its later jobs began while this job could not. */
  readonly overtaken: Map<string, number>;
}

/** Later jobs of one queue that may begin before a job: the one that is next, and the one whose turn it is. */
const OVERTAKEN_MAX = 3;

export class ScheduleJudge {
  readonly #slots: number;
  readonly #gpus: number;
  readonly #jobs = new Map<number, Known>();
  readonly #complain: (violation: string) => void;
  /** Jobs that their owners have cancelled and that run. */
  readonly #cancelled = new Set<number>();
  /** Jobs that have ended, and whose owners do not know. */
  readonly #unreported = new Set<number>();

  constructor(slots: number, gpus: number, complain: (violation: string) => void) {
    this.#slots = slots;
    this.#gpus = gpus;
    this.#complain = complain;
  }

  entered(id: number, job: JudgedJob): void {
    this.#jobs.set(id, { ...job, state: "queued", devices: [], units: 0, overtaken: new Map() });
  }

  /** The scheduler refused the job, so its owner knows that it does not run. */
  refused(id: number): void {
    this.#jobs.delete(id);
  }

  began(id: number, devices: readonly string[]): void {
    const job = this.#jobs.get(id);
    if (job === undefined || job.state !== "queued")
      // SLOT-2.
      return this.#complain(`M2: job ${id} begins, and is ${job?.state ?? "unknown"}`);
    if (this.#those("running").length >= this.#slots)
      // SLOT-1.
      this.#complain(`M1: job ${id} begins, and all ${this.#slots} slots have a job`);
    const taken = this.#present().flatMap((other) => other.devices);
    for (const device of devices) if (taken.includes(device)) this.#complain(`M1: device ${device} has two jobs`);
    if (devices.length !== job.gpus)
      this.#complain(`M1: job ${id} has ${devices.length} devices and needs ${job.gpus}`);
    if (job.server !== null && this.#present().some(({ server }) => server === job.server))
      this.#complain(`M1: server ${job.server} has two jobs`);
    job.state = "running";
    job.devices = devices;
    this.#overtakes(id, job);
  }

  progressed(id: number, units: number): void {
    const job = this.#jobs.get(id);
    if (job === undefined || job.state === "lingering") return this.#complain(`M2: job ${id} moves after its end`);
    if (units < job.units) this.#complain(`M2: job ${id} counts back from ${job.units} to ${units}`);
    job.units = units;
  }

  /** The owner cancels the job. */
  cancelled(id: number): void {
    const job = this.#jobs.get(id);
    if (job?.state === "queued") this.#jobs.delete(id);
    else if (job?.state === "running") this.#cancelled.add(id);
  }

  /** The prover has ended the job. `lingers`: the machine may work on until `vacated`. */
  ended(id: number, lingers: boolean): void {
    this.#unreported.add(id);
    this.#left(id, lingers);
  }

  /** The scheduler has stopped the job at its prover. */
  stopped(id: number, lingers: boolean): void {
    if (!this.#cancelled.delete(id)) this.#complain(`M2: job ${id} is stopped, and its owner waits for it`);
    this.#left(id, lingers);
  }

  /** The owner receives the end of the job. */
  reported(id: number): void {
    if (!this.#unreported.delete(id)) this.#complain(`M2: job ${id} is reported as ended, and has not ended`);
  }

  vacated(id: number): void {
    this.#jobs.delete(id);
  }

  /** To be called when the scheduler has done all that it does after an event. */
  settled(): void {
    for (const id of this.#cancelled) this.#complain(`M2: job ${id} is cancelled, and runs`);
    for (const id of this.#unreported) this.#complain(`M2: the end of job ${id} is lost`);
    this.#cancelled.clear();
    this.#unreported.clear();
    if (this.#those("running").length >= this.#slots) return;
    const [present, queued] = [this.#present(), this.#those("queued")];
    const free = this.#gpus - present.reduce((sum, { devices }) => sum + devices.length, 0);
    const isServed = ({ server }: JudgedJob) => server === null || !present.some((other) => other.server === server);
    const modest = queued.find((job) => job.gpus === 0 && isServed(job));
    const needy = queued.filter(({ gpus }) => gpus > 0);
    // Behind a job that waits for more devices, others may have to wait.
    const isFree = needy.length > 0 && needy.every((job) => job.gpus <= free && isServed(job));
    if (modest !== undefined || isFree || (present.length === 0 && queued.length > 0))
      // SLOT-3.
      this.#complain(`M3: ${queued.length} jobs are queued beside a free slot and ${free} free devices`);
  }

  /** How many jobs wait, run or linger. */
  get size(): number {
    return this.#jobs.size;
  }

  those(state: Known["state"]): number[] {
    return [...this.#jobs].flatMap(([id, job]) => (job.state === state ? [id] : []));
  }

  #left(id: number, lingers: boolean): void {
    const job = this.#jobs.get(id);
    if (job?.state !== "running") return this.#complain(`M2: job ${id} ends, and is ${job?.state ?? "unknown"}`);
    if (lingers) job.state = "lingering";
    else this.#jobs.delete(id);
  }

  #those(state: Known["state"]): Known[] {
    return [...this.#jobs.values()].filter((job) => job.state === state);
  }

  #present(): Known[] {
    return [...this.#jobs.values()].filter(({ state }) => state === "running" || state === "lingering");
  }

  /** A job that is at the head of its queue, or that waits for devices, is not passed by for long. */
  #overtakes(id: number, { queue, gpus, server }: Known): void {
    const isHead = new Set<string>();
    for (const [waits, job] of this.#jobs) {
      if (job.state !== "queued") continue;
      const isFirst = !isHead.has(job.queue);
      isHead.add(job.queue);
      // A server decides by its own job who waits, and devices by theirs.
      const isRival = job.server === null && server === null && gpus > 0 === job.gpus > 0;
      if (!isFirst || waits > id || !isRival) continue;
      const before = (job.overtaken.get(queue) ?? 0) + 1;
      job.overtaken.set(queue, before);
      if (before > OVERTAKEN_MAX)
        // SLOT-4.
        this.#complain(`M4: ${before} later jobs of queue ${queue} begin before job ${waits}`);
    }
  }
}
