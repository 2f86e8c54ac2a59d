import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { detectDevices, deviceEnvironment } from "../../src/provers/devices.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A PATH with these programs on it, and what a shell script takes. */
function machine(
  tools: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-tools-"));
  directories.push(directory);
  for (const [name, script] of Object.entries(tools)) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  return { PATH: `${directory}:/usr/bin:/bin`, ...more };
}

/** Answers to what it is asked, and to nothing else. */
const NVIDIA = `case "$*" in
  "--query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits") ;;
  *) exit 2 ;;
esac
printf '0, GPU-aaaa1111-0000-0000-0000-000000000000, NVIDIA L4, 23034\\n'
printf '1, GPU-bbbb2222-0000-0000-0000-000000000000, NVIDIA GB10, [N/A]\\n'`;
const ROCM = `printf '{"card1": {"Card Series": "MI300X", "VRAM Total Memory (B)": "206141652992"}, "card0": {"Card Series": "MI300X", "VRAM Total Memory (B)": "206141652992"}, "system": {"Driver version": "6.7"}}'`;
const idsOf = async (environment: Record<string, string>): Promise<string[]> =>
  (await detectDevices(environment)).devices.map(({ id }) => id.slice(0, 8));

describe("detection of devices", () => {
  it("finds none on a machine without the vendors' programs, and no fault with it", async () => {
    expect(await detectDevices(machine({}))).toEqual({ devices: [], faults: [] });
  });

  it("has NVIDIA's by UUID with their memory, where it is known", async () => {
    expect(await detectDevices(machine({ "nvidia-smi": NVIDIA }))).toEqual({
      devices: [
        {
          vendor: "nvidia",
          id: "GPU-aaaa1111-0000-0000-0000-000000000000",
          index: "0",
          name: "NVIDIA L4",
          memoryBytes: 23034 * 1024 ** 2,
        },
        {
          vendor: "nvidia",
          id: "GPU-bbbb2222-0000-0000-0000-000000000000",
          index: "1",
          name: "NVIDIA GB10",
          memoryBytes: null,
        },
      ],
      faults: [],
    });
  });

  it("has AMD's by index", async () => {
    const { devices } = await detectDevices(machine({ "rocm-smi": ROCM }));
    expect(devices.map(({ vendor, id, memoryBytes }) => [vendor, id, memoryBytes])).toEqual([
      ["amd", "1", 206_141_652_992],
      ["amd", "0", 206_141_652_992],
    ]);
  });

  it("leaves out what the node itself is kept from seeing", async () => {
    const tools = { "nvidia-smi": NVIDIA, "rocm-smi": ROCM };
    const seen = (cuda: string, rocr: string) =>
      idsOf(machine(tools, { CUDA_VISIBLE_DEVICES: cuda, ROCR_VISIBLE_DEVICES: rocr }));
    expect(await seen("1", "0")).toEqual(["GPU-bbbb", "0"]);
    expect(await seen("GPU-bbbb,0", "")).toEqual(["GPU-bbbb", "GPU-aaaa"]);
    // As CUDA does: nothing behind what it does not know.
    expect(await seen("0,7,1", "")).toEqual(["GPU-aaaa"]);
    expect(await seen("", "")).toEqual([]);
  });

  it.each([
    ["fails", "echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18"],
    ["prints something else", "echo 'No devices were found'"],
  ])("devices.undetected: a program that %s is said, and its devices are not used", async (_, script) => {
    const { devices, faults } = await detectDevices(machine({ "nvidia-smi": script, "rocm-smi": ROCM }));
    expect(devices.map(({ vendor }) => vendor)).toEqual(["amd", "amd"]);
    expect(faults).toMatchObject([{ code: "devices.undetected" }]);
    expect(faults[0]?.message).toMatch(/^nvidia-smi .*(version mismatch|No devices)/s);
  });
});

describe("a child's environment", () => {
  const nvidia = (id: string) => ({ vendor: "nvidia", id, name: "", memoryBytes: null }) as const;
  const amd = (id: string) => ({ vendor: "amd", id, name: "", memoryBytes: null }) as const;

  it("names exactly the devices that it was given", () => {
    expect(deviceEnvironment([nvidia("GPU-a"), nvidia("GPU-b")])).toMatchObject({
      CUDA_VISIBLE_DEVICES: "GPU-a,GPU-b",
      ROCR_VISIBLE_DEVICES: "",
      HIP_VISIBLE_DEVICES: undefined,
    });
    expect(deviceEnvironment([amd("0"), amd("2")])).toMatchObject({
      ROCR_VISIBLE_DEVICES: "0,2",
      CUDA_VISIBLE_DEVICES: undefined,
    });
    expect(deviceEnvironment([])).toMatchObject({ CUDA_VISIBLE_DEVICES: "", ROCR_VISIBLE_DEVICES: "" });
  });
});
