/**
 * Bench-only filter: does one job many times over the request body that Envoy holds, times it with Envoy's clock, and answers with the times.
 *
 *   fetch    reads the body in windows, nothing else; part of the two others
 *   scan     filters/pipeline/body-scan, as llm-router calls it
 *   decode   reads the body in the same windows into one piece of memory and decodes that to a string: the least that a filter has to do before it can
 *            parse. Making room for the piece and collecting the strings is not timed.
 *
 * The plugin configuration names the job; each job has its own VM, so that memory can be told apart.
 */
import { JsonKind } from "../../../filters/lib/json-scanner";
import { BodyStatus, model, scanBody, WINDOW } from "../../../filters/pipeline/body-scan";
import {
  BufferType,
  Bytes,
  ByteWriter,
  buffer,
  FilterDataStatus,
  FilterHeadersStatus,
  HttpContext,
  headers,
  MapType,
  PairsWriter,
  RootContext,
  registerRoot,
  Status,
  StreamContext,
  scratch,
  stream,
  time,
} from "../../../filters/sdk";

export { proxy_on_request_body, proxy_on_request_headers } from "../../../filters/sdk/exports/http";
export {
  proxy_abi_version_0_2_1,
  proxy_on_configure,
  proxy_on_context_create,
  proxy_on_delete,
  proxy_on_vm_start,
} from "../../../filters/sdk/exports/lifecycle";

const SAMPLES = Bytes.literal("x-bench-samples");
const BATCH = Bytes.literal("x-bench-batch");

const view = new Bytes();
const nothing = new Bytes();
const answer = new ByteWriter();
const noHeaders = new PairsWriter();

/** Where the host puts what it hands over; 0: the scratch arena. */
let target: usize = 0;
/** The whole body in one piece. */
let piece: usize = 0;
let capacity: i32 = 0;

export function proxy_on_memory_allocate(size: usize): usize {
  if (target == 0) return scratch.allocate(size);
  const at = target;
  target += size;
  return at;
}

class Root extends RootContext {
  job: string = "";

  onConfigure(size: i32): bool {
    if (buffer.get(BufferType.PluginConfiguration, 0, size, view) != Status.Ok) return false;
    this.job = view.toString();
    return true;
  }

  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  private samples: i32 = 0;
  private batch: i32 = 0;

  constructor(private readonly root: Root) {
    super(root);
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    this.samples = header(SAMPLES);
    this.batch = header(BATCH);
    return FilterHeadersStatus.StopIteration;
  }

  /** Answers `{"nanos": [one number per sample], "pages": [before, after], "check": what the last repetition found}`. */
  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
    const job = this.root.job;
    const decodes = job == "decode";
    const scans = job == "scan";
    const before = memory.size();
    if (decodes) makeRoom(size);
    let check = 0;
    answer.reset().text('{"nanos":[');
    for (let sample = 0; sample < this.samples; sample++) {
      const start = time.now();
      for (let i = 0; i < this.batch; i++) check = decodes ? decode(size) : scans ? scan(size) : fetch(size);
      const nanos = time.now() - start;
      if (sample > 0) answer.byte(0x2c);
      answer.decimal(nanos);
      // Nothing that is held on the stack here belongs to the collector alone.
      __collect();
    }
    answer
      .text('],"pages":[')
      .decimal(before)
      .byte(0x2c)
      .decimal(memory.size())
      .text('],"check":')
      .decimal(check)
      .byte(0x7d);
    stream.respond(200, nothing, answer.view(), noHeaders);
    return FilterDataStatus.StopIterationNoBuffer;
  }
}

function header(name: Bytes): i32 {
  return headers.get(MapType.HttpRequestHeaders, name, view) == Status.Ok ? <i32>parseInt(view.toString()) : 0;
}

function makeRoom(size: i32): void {
  if (size <= capacity) return;
  if (piece != 0) heap.free(piece);
  piece = heap.alloc(size);
  capacity = size;
}

/** Bytes read. */
function fetch(size: i32): i32 {
  const mark = scratch.mark();
  let read = 0;
  for (let at = 0; at < size; at += WINDOW) {
    scratch.rewind(mark);
    if (buffer.get(BufferType.HttpRequestBody, at, min(WINDOW, size - at), view) == Status.Ok) read += view.len;
  }
  scratch.rewind(mark);
  return read;
}

/** Bytes of the model's name; 0 when the body was refused. */
function scan(size: i32): i32 {
  const mark = scratch.mark();
  const status = scanBody(size, false);
  scratch.rewind(mark);
  return status == BodyStatus.Object && model.kind == JsonKind.String ? model.length : 0;
}

/** UTF-16 units of the text. */
function decode(size: i32): i32 {
  target = piece;
  const read = fetch(size);
  target = 0;
  return String.UTF8.decodeUnsafe(piece, read).length;
}

registerRoot("scanner-bench", () => new Root());
