/** The module gate, one fault at a time: each module is a small good one with one thing wrong. */
import { describe, expect, test } from "vitest";
import { inspect, maxModuleBytes, violations } from "../../scripts/lib/wasm-gate.mjs";

// A module assembler: just the sections that the gate reads.

const valueType = { i: 0x7f, I: 0x7e, f: 0x7d, F: 0x7c } as const;
type Letter = keyof typeof valueType;

function leb(value: number): number[] {
  const bytes = [];
  let rest = value;
  do {
    const part = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest > 0 ? part | 0x80 : part);
  } while (rest > 0);
  return bytes;
}
const name = (text: string): number[] => [...leb(text.length), ...Buffer.from(text)];
const list = (items: number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, body: number[]): number[] => [id, ...leb(body.length), ...body];
const type = (signature: string): number[] => {
  const [params = "", results = ""] = signature.split(">");
  const letters = (text: string): number[] => list([...text].map((letter) => [valueType[letter as Letter]]));
  return [0x60, ...letters(params), ...letters(results)];
};

interface Spec {
  imports: [module: string, name: string, signature: string][];
  exports: [name: string, signature: string][];
  /** Limits of the memory; undefined = no memory section. */
  memory: [min: number, max?: number] | undefined;
  exportMemory: boolean;
  start: boolean;
  custom: number;
}

const good: Spec = {
  imports: [
    ["env", "proxy_log", "iii>i"],
    ["env", "proxy_increment_metric", "iI>i"],
    ["wasi_snapshot_preview1", "clock_time_get", "iIi>i"],
    ["wasi_unstable", "proc_exit", "i>"],
  ],
  exports: [
    ["_initialize", ">"],
    ["proxy_abi_version_0_2_1", ">"],
    ["proxy_on_memory_allocate", "i>i"],
    ["proxy_on_request_headers", "iii>i"],
    ["proxy_on_tick", "i>"],
    ["helper", "iF>f"],
  ],
  memory: [1, 1024],
  exportMemory: true,
  start: false,
  custom: 0,
};

function assemble(change: Partial<Spec> = {}): Uint8Array {
  const { imports, exports, memory, exportMemory, start, custom } = { ...good, ...change };
  const signatures = [...imports.map(([, , signature]) => signature), ...exports.map(([, signature]) => signature)];
  const exported = exports.map(([text], index) => [...name(text), 0, ...leb(imports.length + index)]);
  if (exportMemory) exported.push([...name("memory"), 2, 0]);
  const bodies = exports.map(() => [2, 0, 0x0b]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(signatures.map(type))),
    ...section(2, list(imports.map(([module, text], index) => [...name(module), ...name(text), 0, ...leb(index)]))),
    ...section(3, list(exports.map((_, index) => leb(imports.length + index)))),
    ...(memory
      ? section(5, list([memory[1] === undefined ? [0, ...leb(memory[0])] : [1, ...leb(memory[0]), ...leb(memory[1])]]))
      : []),
    ...section(7, list(exported)),
    ...(start ? section(8, leb(imports.length)) : []),
    ...section(10, list(bodies)),
    ...(custom > 0 ? section(0, [...name("padding"), ...new Array<number>(custom).fill(0)]) : []),
  ]);
}

const faults = (change: Partial<Spec> = {}): string[] => violations(inspect(assemble(change)));
const withExport = (text: string, signature: string): Partial<Spec> => ({
  exports: [...good.exports, [text, signature]],
});
const withoutExport = (text: string): Partial<Spec> => ({ exports: good.exports.filter(([other]) => other !== text) });
const withImport = (module: string, text: string, signature: string): Partial<Spec> => ({
  imports: [[module, text, signature]],
});

describe("inspect", () => {
  test("reads what a host sees", () => {
    const report = inspect(assemble({ custom: 3 }));
    expect(report.imports[1]).toEqual({
      module: "env",
      name: "proxy_increment_metric",
      kind: "func",
      params: ["i32", "i64"],
      results: ["i32"],
    });
    expect(report.exports.find(({ name: text }) => text === "helper")).toEqual({
      name: "helper",
      kind: "func",
      params: ["i32", "f64"],
      results: ["f32"],
    });
    expect(report.exports.at(-1)).toEqual({ name: "memory", kind: "memory" });
    expect(report.memory).toEqual({ min: 1, max: 1024 });
    expect(report.hasStart).toBe(false);
    expect(report.customSections).toEqual(["padding"]);
    expect(report.sections.map((one) => one.name)).toEqual([
      "type",
      "import",
      "function",
      "memory",
      "export",
      "code",
      "custom",
    ]);
    expect(report.size).toBe(assemble({ custom: 3 }).length);
  });

  test("finds the start section", () => expect(inspect(assemble({ start: true })).hasStart).toBe(true));

  test("a module that is cut anywhere is an error or a smaller report, never a hang or another exception", () => {
    const bytes = assemble();
    for (let end = 0; end < bytes.length; end++) {
      try {
        expect(inspect(bytes.subarray(0, end)).size).toBe(end);
      } catch (error) {
        expect(String(error)).toMatch(/wasm: /);
      }
    }
  });

  test("other bytes are refused", () => {
    expect(() => inspect(new Uint8Array(100))).toThrow(/not a WebAssembly/);
    expect(() => inspect(Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff]))).toThrow(
      /32 bits/,
    );
  });
});

test("shared and 64-bit memories do not run in Envoy", () => {
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section(5, list([[3, 1, 2]]))];
  expect(() => inspect(Uint8Array.from(bytes))).toThrow(/shared or 64-bit/);
});

describe("violations", () => {
  test("a good module has none", () => expect(faults()).toEqual([]));

  test.each<[string, Partial<Spec>, RegExp]>([
    ["an import that Envoy lacks", withImport("env", "abort", "iiii>"), /import env\.abort is not served/],
    [
      "an import from another module",
      withImport("index", "proxy_log", "iii>i"),
      /import index\.proxy_log is not served/,
    ],
    [
      "a hostcall of another ABI version",
      withImport("env", "proxy_clear_route_cache", ">i"),
      /proxy_clear_route_cache is not served/,
    ],
    [
      "an i32 where a metric takes an i64",
      withImport("env", "proxy_increment_metric", "ii>i"),
      /proxy_increment_metric is \(i32, i32\).*Envoy serves \(i32, i64\)/,
    ],
    ["a hostcall without its result", withImport("env", "proxy_done", ">"), /proxy_done is \(\) -> \(\)/],
    ["a WASI stub", withImport("wasi_snapshot_preview1", "sock_send", "iiiii>i"), /sock_send is not served/],
    ["a start section", { start: true }, /start section/],
    ["no ABI marker", withoutExport("proxy_abi_version_0_2_1"), /ABI marker.*found none/],
    [
      "another ABI marker",
      { exports: [...(withoutExport("proxy_abi_version_0_2_1").exports ?? []), ["proxy_abi_version_0_2_0", ">"]] },
      /found proxy_abi_version_0_2_0/,
    ],
    ["two ABI markers", withExport("proxy_abi_version_0_1_0", ">"), /exactly one ABI marker/],
    [
      "a misspelt callback",
      withExport("proxy_on_request_header", "iii>i"),
      /proxy_on_request_header is no callback.*spelling/,
    ],
    [
      "a misspelt callback of Envoy's own",
      withExport("envoy_on_resolve_dn", "iii>"),
      /envoy_on_resolve_dn is no callback/,
    ],
    [
      "a callback with the arguments of ABI 0.1.0",
      withExport("proxy_on_response_headers", "ii>i"),
      /proxy_on_response_headers is \(i32, i32\)/,
    ],
    [
      "a callback with a result it should not have",
      withExport("proxy_on_log", "i>i"),
      /proxy_on_log is \(i32\) -> \(i32\)/,
    ],
    ["malloc", withExport("malloc", "i>i"), /export malloc/],
    ["no allocator", withoutExport("proxy_on_memory_allocate"), /proxy_on_memory_allocate is missing/],
    ["no _initialize", withoutExport("_initialize"), /_initialize is missing/],
    [
      "an _initialize with arguments",
      { exports: [...(withoutExport("_initialize").exports ?? []), ["_initialize", "i>"]] },
      /_initialize is \(i32\)/,
    ],
    ["a memory that is not exported", { exportMemory: false }, /export memory is missing/],
    ["a memory without maximum", { memory: [1] }, /no maximum/],
    ["a memory beyond Envoy's cap", { memory: [1, 65_536] }, /may grow to 65536 pages/],
    ["a module that is too large", { custom: maxModuleBytes }, /the limit is 524288/],
  ])("%s", (_name, change, message) => {
    const found = faults(change);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  test("every fault is named at once", () => {
    expect(faults({ start: true, memory: [1], ...withExport("malloc", "i>i") })).toHaveLength(3);
  });

  test("an imported memory is not a function", () => {
    const bytes = Uint8Array.from([
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      ...section(2, list([[...name("env"), ...name("memory"), 2, 0, 1]])),
    ]);
    expect(violations(inspect(bytes))[0]).toMatch(/env\.memory is a memory/);
  });
});
