/**
 * What the attempts of one request need to know: written by the router when it decides, read by the attempt filter for every attempt.
 *
 * Both run in the same VM (same module, vm_id and VM configuration), so a plan is an object in its memory; the stream carries only where it is, as the
 * property `tokenmesh.plan`:
 *
 *   |index: u32|generation: u32|birth: u64|        little-endian; the generation tells a plan from the one that used the place before,
 *                                                  the birth this VM from any other: one that is not shared, or the one before a trap
 *
 * Plans are pooled and never freed; there are as many as requests with a plan were ever in flight at once.
 */
import { Api } from "../lib/llm-api";
import { ModelPlace } from "../pipeline/exchange";
import { Bytes, ByteWriter, time } from "../sdk";
import { RequestPath } from "./model-text";
import { Fallback } from "./rule";
import { Target } from "./target";

export const PLAN_PROPERTY = Bytes.literal("tokenmesh.plan");
/** In place of a handle: another stage has sent the request elsewhere, and no attempt is to be changed. */
export const DIVERTED = Bytes.literal("diverted");

@final
export class Plan {
  /** Changes when the plan ends: whoever kept it knows by that. */
  generation: u32 = 0;
  api: Api = Api.ChatCompletions;
  chosen: Target | null = null;
  fallback: Fallback | null = null;

  place: ModelPlace = ModelPlace.None;
  modelStart: i32 = 0;
  modelEnd: i32 = 0;
  hasMembers: bool = false;
  bodySize: i32 = 0;
  hasContentLength: bool = false;
  /** The model as the client named it, and the name that targets without one of their own get. */
  readonly clientModel: ByteWriter = new ByteWriter();
  readonly defaultModel: ByteWriter = new ByteWriter();
  readonly path: RequestPath = new RequestPath();
  readonly authority: ByteWriter = new ByteWriter();
  /** The query has a credential of the client's, which must go no further. */
  dropsKeys: bool = false;

  /** Attempts so far, and the target of the last one. */
  attempts: i32 = 0;
  served: Target | null = null;
  /** What attempts have written into the headers, which all attempts share. */
  wrotePath: bool = false;
  wroteAuthority: bool = false;
  wroteLength: bool = false;
  wroteCredential: Bytes | null = null;

  private readonly pathText: ByteWriter = new ByteWriter();

  constructor(readonly index: u32) {}

  setPath(text: Bytes, end: i32, modelStart: i32, modelEnd: i32): void {
    const copy = this.pathText.reset().bytes(text).view();
    this.path.text.set(copy.ptr, copy.len);
    this.path.end = end;
    this.path.modelStart = modelStart;
    this.path.modelEnd = modelEnd;
  }

  begin(): void {
    this.fallback = null;
    this.dropsKeys = false;
    this.attempts = 0;
    this.served = null;
    this.wrotePath = false;
    this.wroteAuthority = false;
    this.wroteLength = false;
    this.wroteCredential = null;
  }

  /** The target of that name, if this request may go there. O(targets). */
  target(name: Bytes): Target | null {
    const chosen = this.chosen;
    if (chosen !== null && chosen.name.equals(name)) return chosen;
    const fallback = this.fallback;
    if (fallback === null) return null;
    for (let i = 0; i < fallback.targets.length; i++) {
      const target = unchecked(fallback.targets[i]);
      if (target.name.equals(name)) return target;
    }
    return null;
  }

  /** Model name that `target` gets. */
  modelFor(target: Target): Bytes {
    return target.upstreamModel.len > 0 ? target.upstreamModel : this.defaultModel.view();
  }
}

const all: Plan[] = [];
const free: Plan[] = [];
const HANDLE: i32 = 16;
const handle: usize = memory.data(16, 8);
const handleView = new Bytes();
/** Nanoseconds since the epoch, of the first plan of this VM. */
let birth: u64 = 0;

export namespace plans {
  export function take(): Plan {
    let plan: Plan;
    if (free.length > 0) {
      plan = free.pop();
    } else {
      if (all.length == 0) birth = time.now();
      plan = new Plan(all.length);
      all.push(plan);
    }
    plan.begin();
    return plan;
  }

  export function release(plan: Plan): void {
    plan.generation++;
    free.push(plan);
  }

  /** What the stream's property says. Valid until the next call. */
  export function handleOf(plan: Plan): Bytes {
    store<u32>(handle, plan.index);
    store<u32>(handle, plan.generation, 4);
    store<u64>(handle, birth, 8);
    handleView.set(handle, HANDLE);
    return handleView;
  }

  /** The live plan behind a handle, or null. */
  export function find(bytes: Bytes): Plan | null {
    if (bytes.len != HANDLE || load<u64>(bytes.ptr, 8) != birth) return null;
    const index = load<u32>(bytes.ptr);
    if (index >= <u32>all.length) return null;
    const plan = unchecked(all[index]);
    return plan.generation == load<u32>(bytes.ptr, 4) ? plan : null;
  }
}
