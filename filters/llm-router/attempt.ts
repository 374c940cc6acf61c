/**
 * The attempt filter: an upstream HTTP filter of Envoy's router, so it runs once for every attempt, when the endpoint is known.
 *
 *   request headers   the plan of the stream; the target of the endpoint; host, path, credential, content-length
 *   request body      the model's name, in the piece that holds it
 *   response headers  held until the first byte of the body where a first-byte timeout is set, so that Envoy may still try elsewhere
 *
 * All attempts share one header map: what one wrote the next finds, so every header that any target touches is written or taken back each time. The body is
 * fresh for every attempt. Which target it is, the endpoint says (filter metadata tokenmesh.target): the number of the attempt does not, because Envoy may
 * pass over a cluster without a healthy endpoint, and the next one's provider would get the wrong key.
 */
import { findHostTarget, hostTarget } from "../lib/host-metadata";
import { Api } from "../lib/llm-api";
import { replaceInBody } from "../pipeline/body-edit";
import { ModelPlace } from "../pipeline/exchange";
import { attemptPlanMissing, bodyUnreadable, Refusal, targetUnknown } from "../pipeline/refusal";
import {
  Bytes,
  ByteWriter,
  FilterDataStatus,
  FilterHeadersStatus,
  headers,
  HttpContext,
  MapType,
  property,
  RootContext,
  Status,
  StreamContext,
} from "../sdk";
import { writeModel, writePath } from "./model-text";
import { DIVERTED, Plan, PLAN_PROPERTY, plans } from "./plan";
import { Target } from "./target";

const HOST_METADATA = Bytes.literal("xds\0upstream_host_metadata");
const AUTHORITY = Bytes.literal(":authority");
const PATH = Bytes.literal(":path");
const STATUS = Bytes.literal(":status");
const CONTENT_LENGTH = Bytes.literal("content-length");

const value = new Bytes();
const nothing = new Bytes();
const text = new ByteWriter();

export class AttemptRoot extends RootContext {
  createStream(): StreamContext {
    return new Attempt(this);
  }
}

@final
class Attempt extends HttpContext {
  private plan: Plan | null = null;
  private generation: u32 = 0;
  private target: Target | null = null;
  /** Bytes of the body that have passed. */
  private offset: i32 = 0;
  private renames: bool = false;

  onCreate(): void {
    this.plan = null;
    this.target = null;
    this.offset = 0;
    this.renames = false;
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (property.get(PLAN_PROPERTY, value) != Status.Ok || value.equals(DIVERTED)) return FilterHeadersStatus.Continue;
    const plan = plans.find(value);
    // Without the plan nobody knows which API was called.
    if (plan === null) return this.refuse(attemptPlanMissing, Api.ChatCompletions);
    plan.attempts++;
    const target = targetOf(plan);
    if (target === null) return this.refuse(targetUnknown, plan.api);
    this.plan = plan;
    this.generation = plan.generation;
    this.target = target;
    plan.served = target;
    this.writeHeaders(plan, target);
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    const plan = this.plan;
    const target = this.target;
    if (!this.renames || plan === null || target === null || plan.generation != this.generation) return FilterDataStatus.Continue;
    const offset = this.offset;
    this.offset += size;
    const start = plan.modelStart - offset;
    const end = plan.modelEnd - offset;
    // The name may be cut by pieces: its first one gets the new name, the others lose the old.
    if (end < 0 || start >= size || (end == 0 && start < 0)) return FilterDataStatus.Continue;
    const first = start >= 0;
    if (replaceInBody(size, max(start, 0), min(end, size), first ? this.modelText(plan, target) : nothing)) return FilterDataStatus.Continue;
    // Half an edit must not go out.
    bodyUnreadable.send(plan.api, nothing);
    return FilterDataStatus.StopIterationNoBuffer;
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const plan = this.plan;
    if (endOfStream || plan === null || plan.generation != this.generation) return FilterHeadersStatus.Continue;
    const fallback = plan.fallback;
    if (fallback === null || fallback.firstByteTimeout == 0) return FilterHeadersStatus.Continue;
    // What Envoy retries by its status must reach it at once.
    const success = headers.get(MapType.HttpResponseHeaders, STATUS, value) == Status.Ok && value.len == 3 && value.at(0) == 0x32;
    return success ? FilterHeadersStatus.StopIteration : FilterHeadersStatus.Continue;
  }

  /** The first byte: with it go the headers. */
  onResponseBody(size: i32, endOfStream: bool): FilterDataStatus {
    return FilterDataStatus.Continue;
  }

  private refuse(refusal: Refusal, api: Api): FilterHeadersStatus {
    refusal.send(api, nothing);
    return FilterHeadersStatus.StopIteration;
  }

  private writeHeaders(plan: Plan, target: Target): void {
    if (target.host.len > 0 || plan.wroteAuthority) {
      headers.replace(MapType.HttpRequestHeaders, AUTHORITY, target.host.len > 0 ? target.host : plan.authority.view());
      plan.wroteAuthority = true;
    }
    const inPath = plan.place == ModelPlace.Path;
    const name = plan.modelFor(target);
    const differs = name.len > 0 && !name.equals(plan.clientModel.view());
    if (target.rewritesPath || plan.wrotePath || plan.dropsKeys || (inPath && differs)) {
      const model = inPath && differs ? name : nothing;
      writePath(text.reset(), plan.path, target.rewritesPath, target.pathFrom, target.pathTo, model, plan.dropsKeys);
      headers.replace(MapType.HttpRequestHeaders, PATH, text.view());
      plan.wrotePath = true;
    }
    this.writeCredential(plan, target);
    this.renames = !inPath && plan.place != ModelPlace.None && differs;
    if (plan.hasContentLength && (this.renames || plan.wroteLength)) {
      const size = this.renames ? plan.bodySize - (plan.modelEnd - plan.modelStart) + this.modelText(plan, target).len : plan.bodySize;
      headers.replace(MapType.HttpRequestHeaders, CONTENT_LENGTH, text.reset().decimal(size).view());
      plan.wroteLength = true;
    }
  }

  /** The target's own, and never one that an earlier attempt wrote. */
  private writeCredential(plan: Plan, target: Target): void {
    const before = plan.wroteCredential;
    const credential = target.credential;
    if (before !== null && (credential === null || !credential.header.equals(before))) {
      headers.remove(MapType.HttpRequestHeaders, before);
    }
    plan.wroteCredential = null;
    if (credential === null) return;
    headers.replace(MapType.HttpRequestHeaders, credential.header, credential.value);
    plan.wroteCredential = credential.header;
  }

  private modelText(plan: Plan, target: Target): Bytes {
    const missing = plan.modelStart == plan.modelEnd;
    return writeModel(text.reset(), plan.place, missing, plan.hasMembers, plan.modelFor(target)).view();
  }
}

/** The target of the endpoint that this attempt goes to. A plan with one target needs no answer from the endpoint. */
function targetOf(plan: Plan): Target | null {
  if (plan.fallback === null) return plan.chosen;
  if (property.get(HOST_METADATA, value) != Status.Ok || !findHostTarget(value.ptr, value.len)) return null;
  value.set(hostTarget.ptr, hostTarget.length);
  return plan.target(value);
}
