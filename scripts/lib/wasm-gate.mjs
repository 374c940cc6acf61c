/**
 * The module gate: reads a WebAssembly binary and says why Envoy would refuse it, or worse, accept and crash.
 *
 * Envoy finds such faults only when a configuration arrives, and some never: a misspelt `proxy_on_request_header` is
 * an unknown export and simply never called; a hostcall in the start section dereferences a null context. So the build refuses them.
 *
 * Binary format: https://webassembly.github.io/spec/core/binary/modules.html
 * ABI: https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
 */

/** Value types in signature strings: i = i32, I = i64, f = f32, F = f64. "iiI>i" takes i32, i32, i64 and returns i32. */
const valueTypes = new Map([
  [0x7f, "i"],
  [0x7e, "I"],
  [0x7d, "f"],
  [0x7c, "F"],
  [0x7b, "v"],
  [0x70, "r"],
  [0x6f, "r"],
]);
const typeNames = { i: "i32", I: "i64", f: "f32", F: "f64", v: "v128", r: "ref" };

const words = (count, result = "i") => `${"i".repeat(count)}>${result}`;

/** What Envoy registers in module "env" for ABI 0.2.1: name -> signature. */
export const hostFunctions = new Map(
  Object.entries({
    proxy_log: words(3),
    proxy_get_log_level: words(1),
    proxy_get_status: words(3),
    proxy_set_tick_period_milliseconds: words(1),
    proxy_get_current_time_nanoseconds: words(1),
    proxy_get_buffer_bytes: words(5),
    proxy_get_buffer_status: words(3),
    proxy_set_buffer_bytes: words(5),
    proxy_get_header_map_size: words(2),
    proxy_get_header_map_pairs: words(3),
    proxy_set_header_map_pairs: words(3),
    proxy_get_header_map_value: words(5),
    proxy_add_header_map_value: words(5),
    proxy_replace_header_map_value: words(5),
    proxy_remove_header_map_value: words(3),
    proxy_continue_stream: words(1),
    proxy_close_stream: words(1),
    proxy_send_local_response: words(8),
    proxy_set_effective_context: words(1),
    proxy_done: words(0),
    proxy_http_call: words(10),
    proxy_grpc_call: words(12),
    proxy_grpc_stream: words(9),
    proxy_grpc_send: words(4),
    proxy_grpc_cancel: words(1),
    proxy_grpc_close: words(1),
    proxy_get_shared_data: words(5),
    proxy_set_shared_data: words(5),
    proxy_register_shared_queue: words(3),
    proxy_resolve_shared_queue: words(5),
    proxy_enqueue_shared_queue: words(3),
    proxy_dequeue_shared_queue: words(3),
    proxy_define_metric: words(4),
    proxy_increment_metric: "iI>i",
    proxy_record_metric: "iI>i",
    proxy_get_metric: words(2),
    proxy_get_property: words(4),
    proxy_set_property: words(4),
    proxy_call_foreign_function: words(6),
    pthread_equal: words(2),
    emscripten_notify_memory_growth: words(1, ""),
    envoy_resolve_dns: words(3),
  }),
);

/** WASI functions that do something in Envoy; the many stubs that only return an error are left out on purpose. */
export const wasiFunctions = new Map(
  Object.entries({
    fd_write: words(4),
    fd_read: words(4),
    fd_seek: "iIii>i",
    fd_close: words(1),
    fd_fdstat_get: words(2),
    environ_get: words(2),
    environ_sizes_get: words(2),
    args_get: words(2),
    args_sizes_get: words(2),
    clock_time_get: "iIi>i",
    random_get: words(2),
    proc_exit: words(1, ""),
    path_open: "iiiiiIIii>i",
    fd_prestat_get: words(2),
    fd_prestat_dir_name: words(3),
  }),
);

export const wasiModules = ["wasi_snapshot_preview1", "wasi_unstable"];

/** What Envoy looks for among the exports of a module: name -> signature. */
export const moduleCallbacks = new Map(
  Object.entries({
    proxy_on_memory_allocate: words(1),
    proxy_on_context_create: words(2, ""),
    proxy_on_vm_start: words(2),
    proxy_validate_configuration: words(2),
    proxy_on_configure: words(2),
    proxy_on_tick: words(1, ""),
    proxy_on_queue_ready: words(2, ""),
    proxy_on_foreign_function: words(3, ""),
    proxy_on_new_connection: words(1),
    proxy_on_downstream_data: words(3),
    proxy_on_upstream_data: words(3),
    proxy_on_downstream_connection_close: words(2, ""),
    proxy_on_upstream_connection_close: words(2, ""),
    proxy_on_request_headers: words(3),
    proxy_on_request_body: words(3),
    proxy_on_request_trailers: words(2),
    proxy_on_request_metadata: words(2),
    proxy_on_response_headers: words(3),
    proxy_on_response_body: words(3),
    proxy_on_response_trailers: words(2),
    proxy_on_response_metadata: words(2),
    proxy_on_http_call_response: words(5, ""),
    proxy_on_grpc_receive_initial_metadata: words(3, ""),
    proxy_on_grpc_receive: words(3, ""),
    proxy_on_grpc_receive_trailing_metadata: words(3, ""),
    proxy_on_grpc_close: words(3, ""),
    proxy_on_done: words(1),
    proxy_on_log: words(1, ""),
    proxy_on_delete: words(1, ""),
    envoy_on_resolve_dns: words(3, ""),
    envoy_on_stats_update: words(2, ""),
    _initialize: words(0, ""),
    main: words(2),
  }),
);

const abiMarker = "proxy_abi_version_0_2_1";
/** Largest module the build lets through, in bytes. A filter is copied into every VM of every worker at load. */
export const maxModuleBytes = 512 * 1024;
/** Envoy's cap per VM: 16,384 pages of 64 KiB are 1 GiB. A larger maximum would promise memory that is not there. */
const maxMemoryPages = 16_384;

const kinds = ["func", "table", "memory", "global", "tag"];
const sectionNames = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "datacount",
  "tag",
];

/** A cursor over the bytes that names the offset when the module is cut short or malformed. */
function reader(bytes, start, end) {
  let at = start;
  const need = (count) => {
    if (count > end - at) throw new Error(`wasm: the module ends early at byte ${at}`);
  };
  const byte = () => {
    need(1);
    return bytes[at++];
  };
  const u32 = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const part = byte();
      value += (part & 0x7f) * 2 ** shift;
      if (part < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new Error(`wasm: a number at byte ${at} does not fit 32 bits`);
  };
  const skip = (count) => {
    need(count);
    at += count;
  };
  const name = () => {
    const length = u32();
    need(length);
    at += length;
    return new TextDecoder().decode(bytes.subarray(at - length, at));
  };
  const list = (item) => Array.from({ length: Math.min(u32(), end - at) }, item);
  const limits = () => {
    const flags = byte();
    if (flags > 1) throw new Error(`wasm: shared or 64-bit memory and tables (flags ${flags}) do not run in Envoy`);
    const min = u32();
    return { min, max: flags === 1 ? u32() : undefined };
  };
  return { byte, u32, skip, name, list, limits, more: () => at < end, position: () => at };
}

function funcType(read) {
  if (read.byte() !== 0x60) throw new Error(`wasm: only plain function types are understood (byte ${read.position()})`);
  const types = () => read.list(() => valueTypes.get(read.byte()) ?? "?");
  return { params: types(), results: types() };
}

function importEntry(read, types) {
  const module = read.name();
  const name = read.name();
  const kind = kinds[read.byte()];
  if (kind === "func") return { module, name, kind, ...types[read.u32()] };
  if (kind === "table") read.skip(1);
  if (kind === "table" || kind === "memory") read.limits();
  else read.skip(kind === "global" ? 2 : 1);
  if (kind === "tag") read.u32();
  return { module, name, kind };
}

/**
 * Reads the parts of a module that its host sees. Throws an Error that names the byte offset when `buffer` is not a module.
 * `params` and `results` are arrays of "i32" | "i64" | "f32" | "f64" | "v128" | "ref"; they are absent for what is not a function.
 */
export function inspect(buffer) {
  const bytes = new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
  const magic = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  if (magic.some((value, index) => bytes[index] !== value)) throw new Error("wasm: not a WebAssembly 1.0 module");
  const read = reader(bytes, 8, bytes.length);
  const sections = [];
  const customSections = [];
  let [types, imports, functions, exports] = [[], [], [], []];
  let memory;
  let hasStart = false;
  while (read.more()) {
    const id = read.byte();
    const size = read.u32();
    const begin = read.position();
    read.skip(size);
    const body = reader(bytes, begin, begin + size);
    sections.push({ id, name: sectionNames[id] ?? `unknown ${id}`, size });
    if (id === 0) customSections.push(body.name());
    if (id === 1) types = body.list(() => funcType(body));
    if (id === 2) imports = body.list(() => importEntry(body, types));
    if (id === 3) functions = body.list(() => types[body.u32()]);
    if (id === 5) memory = body.list(() => body.limits())[0];
    if (id === 7) exports = body.list(() => ({ name: body.name(), kind: kinds[body.byte()], index: body.u32() }));
    if (id === 8) hasStart = true;
  }
  const named = ({ params, results }) => ({
    params: params.map((type) => typeNames[type] ?? type),
    results: results.map((type) => typeNames[type] ?? type),
  });
  const all = [...imports.filter(({ kind }) => kind === "func"), ...functions];
  return {
    size: bytes.length,
    imports: imports.map((entry) => (entry.params ? { ...entry, ...named(entry) } : entry)),
    exports: exports.map(({ name, kind, index }) => ({
      name,
      kind,
      ...(kind === "func" && all[index] ? named(all[index]) : {}),
    })),
    sections,
    hasStart,
    customSections,
    memory,
  };
}

const typed = (signature) => {
  const [params = "", results = ""] = signature.split(">");
  const list = (letters) => [...letters].map((letter) => typeNames[letter]).join(", ");
  return `(${list(params)}) -> (${list(results)})`;
};
const shown = ({ params = [], results = [] }) => `(${params.join(", ")}) -> (${results.join(", ")})`;

function importFaults({ module, name, kind, ...type }) {
  if (kind !== "func") return [`import ${module}.${name} is a ${kind}: Envoy serves functions only`];
  const table = module === "env" ? hostFunctions : wasiModules.includes(module) ? wasiFunctions : undefined;
  const want = table?.get(name);
  if (want === undefined)
    return [`import ${module}.${name} is not served by Envoy (ABI 0.2.1): the module would not load`];
  return typed(want) === shown(type) ? [] : [`import ${module}.${name} is ${shown(type)}, Envoy serves ${typed(want)}`];
}

function exportFaults({ name, kind, ...type }) {
  if (name === "malloc") return ["export malloc would be used instead of proxy_on_memory_allocate: rename it"];
  if (name.startsWith("proxy_abi_version_")) return [];
  const want = moduleCallbacks.get(name);
  if (want === undefined) {
    return /^(proxy|envoy)_/.test(name)
      ? [`export ${name} is no callback of ABI 0.2.1, Envoy would never call it: check the spelling`]
      : [];
  }
  if (kind !== "func") return [`export ${name} is a ${kind}, Envoy wants a function`];
  return typed(want) === shown(type) ? [] : [`export ${name} is ${shown(type)}, Envoy wants ${typed(want)}`];
}

/** Why a module must not ship; empty when it may. One sentence per fault, every fault at once. */
export function violations(report) {
  const faults = [...report.imports.flatMap(importFaults), ...report.exports.flatMap(exportFaults)];
  const exported = new Map(report.exports.map((entry) => [entry.name, entry]));
  const markers = report.exports.filter(({ name }) => name.startsWith("proxy_abi_version_")).map(({ name }) => name);
  if (markers.length !== 1 || markers[0] !== abiMarker) {
    faults.push(`exactly one ABI marker, ${abiMarker}, must be exported; found ${markers.join(", ") || "none"}`);
  } else if (exported.get(abiMarker)?.kind !== "func") {
    faults.push(`export ${abiMarker} must be a function`);
  }
  for (const name of ["proxy_on_memory_allocate", "_initialize"])
    if (!exported.has(name)) faults.push(`export ${name} is missing`);
  if (report.hasStart)
    faults.push(
      "the module has a start section: Envoy crashes when it calls the host (build with --exportStart _initialize)",
    );
  if (exported.get("memory")?.kind !== "memory") faults.push("export memory is missing");
  if (report.memory?.max === undefined) faults.push("the memory has no maximum (build with --maximumMemory)");
  else if (report.memory.max > maxMemoryPages)
    faults.push(`the memory may grow to ${report.memory.max} pages, Envoy gives ${maxMemoryPages}`);
  if (report.size > maxModuleBytes) faults.push(`the module has ${report.size} bytes, the limit is ${maxModuleBytes}`);
  return faults;
}
