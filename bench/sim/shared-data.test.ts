import { describe, expect, it } from "vitest";
import { SharedData, type Vm } from "./shared-data.ts";

type Calls = {
  proxy_get_shared_data(key: number, keySize: number, at: number, size: number, cas: number): number;
  proxy_set_shared_data(key: number, keySize: number, at: number, size: number, cas: number): number;
};

/** A worker whose memory is 256 bytes until it asks for more: keys at 16, values at 32, what calls return at 0. */
function worker(shared: SharedData) {
  const vm = { memory: { buffer: new ArrayBuffer(256) }, allocate: (_size: number): number => 64 };
  const calls = shared.hostcalls((): Vm => vm) as Calls;
  const bytes = (): Uint8Array => new Uint8Array(vm.memory.buffer);
  const word = (at: number): number => new DataView(vm.memory.buffer).getUint32(at, true);
  const key = (name: string): number => {
    bytes().set(
      [...name].map((letter) => letter.charCodeAt(0)),
      16,
    );
    return name.length;
  };
  return {
    vm,
    set: (name: string, value: readonly number[], cas = 0): number => {
      bytes().set(value, 32);
      return calls.proxy_set_shared_data(16, key(name), 32, value.length, cas);
    },
    get: (name: string): { status: number; value: number[]; cas: number } => {
      const status = calls.proxy_get_shared_data(16, key(name), 0, 4, 8);
      return { status, value: [...bytes().slice(word(0), word(0) + word(4))], cas: word(8) };
    },
  };
}

describe("shared data", () => {
  it("is the same for all workers, and a copy", () => {
    const shared = new SharedData();
    const [one, two] = [worker(shared), worker(shared)];
    expect(two.get("a").status).toBe(1);
    expect(one.set("a", [1, 2, 3])).toBe(0);
    one.set("b", [9]);
    expect(two.get("a")).toMatchObject({ status: 0, value: [1, 2, 3] });
    expect(two.get("b")).toMatchObject({ status: 0, value: [9] });
    expect(two.set("a", [])).toBe(0);
    expect(one.get("a")).toMatchObject({ status: 0, value: [] });
  });

  it("lets one of two writers win", () => {
    const shared = new SharedData();
    const [one, two] = [worker(shared), worker(shared)];
    one.set("a", [1]);
    const { cas } = one.get("a");
    expect(two.get("a").cas).toBe(cas);
    expect(two.set("a", [2], cas)).toBe(0);
    expect(one.set("a", [3], cas)).toBe(8);
    expect(one.get("a").value).toEqual([2]);
    expect(one.set("a", [3])).toBe(0);
    // Nobody wrote it: as in Envoy, any version will do.
    expect(one.set("new", [4], 77)).toBe(0);
  });

  it("writes into memory that has grown", () => {
    const one = worker(new SharedData());
    one.set("a", [1, 2]);
    const before = new Uint8Array(one.vm.memory.buffer);
    one.vm.memory.buffer = new ArrayBuffer(512);
    expect(one.get("a").value).toEqual([1, 2]);
    expect(before[64]).toBe(0);
  });
});
