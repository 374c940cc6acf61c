/**
 * What many streams are sent alike is encoded once: a response without its nonce. The same bytes then stand in the send buffers of all of them.
 *
 * `envoy.service.discovery.v3.DiscoveryResponse`: version_info = 1, resources = 2 (Any), type_url = 4, nonce = 5, control_plane = 6.
 * `DeltaDiscoveryResponse`: system_version_info = 1, resources = 2 (Resource), type_url = 4, nonce = 5, removed_resources = 6, control_plane = 7.
 */
import protobuf from "protobufjs";
import { PUSH_ORDER, sotwAny } from "../cache/index.ts";
import { type DeltaItem, deltaItemBytes, type PlannedDelta, type PlannedResponse } from "../stream/index.ts";
import { MAX_SHARED_BODIES, MAX_SHARED_BYTES } from "./limits.ts";

type Planned = PlannedResponse | PlannedDelta;

interface Kept {
  readonly planned: Planned;
  readonly body: Uint8Array;
}

export class SharedBodies {
  readonly #controlPlane: Uint8Array;
  /** By variant and type, the newest first. */
  readonly #kept = new Map<string, Kept[]>();
  #bytes = 0;

  /** @param identifier names this server in `control_plane.identifier`; Envoy shows it as the text stat `control_plane.identifier` */
  constructor(identifier: string) {
    this.#controlPlane = protobuf.Writer.create().uint32(IDENTIFIER).string(identifier).finish();
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The response without its nonce; never written to. O(resources) pointer comparisons when another stream was sent the same.
   */
  body(planned: Planned): Uint8Array {
    const key = keyOf(planned);
    const kept = this.#kept.get(key) ?? [];
    for (const each of kept) if (same(each.planned, planned)) return each.body;
    const body = "removed" in planned ? this.#delta(planned) : this.#sotw(planned);
    if (body.length > MAX_SHARED_BYTES / 2) return body;
    this.#bytes += body.length;
    for (const gone of kept.splice(MAX_SHARED_BODIES - 1)) this.#bytes -= gone.body.length;
    kept.unshift({ planned, body });
    // The type that was asked for last is the last to lose its bodies.
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    for (const [other, list] of this.#kept) {
      if (this.#bytes <= MAX_SHARED_BYTES) break;
      const droppable = other === key ? list.splice(1) : list.splice(0);
      for (const gone of droppable) this.#bytes -= gone.body.length;
    }
    return body;
  }

  #sotw({ version, typeUrl, resources, heartbeats, ttl }: PlannedResponse): Uint8Array {
    const writer = protobuf.Writer.create();
    writer.uint32(VERSION_INFO).string(version);
    for (const resource of resources) writer.uint32(RESOURCES).bytes(sotwAny(resource, ttl));
    // With their bodies: Envoy passes over a bodiless one in this variant, and its TTL runs out (1.36.4, 1.40.0).
    for (const resource of heartbeats) writer.uint32(RESOURCES).bytes(sotwAny(resource, ttl));
    writer.uint32(TYPE_URL).string(typeUrl).uint32(SOTW_CONTROL_PLANE).bytes(this.#controlPlane);
    return writer.finish();
  }

  #delta({ systemVersion, typeUrl, resources, removed, ttl }: PlannedDelta): Uint8Array {
    const writer = protobuf.Writer.create();
    writer.uint32(VERSION_INFO).string(systemVersion);
    for (const item of resources) writer.uint32(RESOURCES).bytes(deltaItemBytes(item, ttl));
    for (const name of removed) writer.uint32(REMOVED).string(name);
    writer.uint32(TYPE_URL).string(typeUrl).uint32(DELTA_CONTROL_PLANE).bytes(this.#controlPlane);
    return writer.finish();
  }
}

const IDENTIFIER = 0x0a;
const VERSION_INFO = 0x0a;
const RESOURCES = 0x12;
const TYPE_URL = 0x22;
const REMOVED = 0x32;
const SOTW_CONTROL_PLANE = 0x32;
const DELTA_CONTROL_PLANE = 0x3a;

const KEYS = {
  sotw: new Map(PUSH_ORDER.map((typeUrl) => [typeUrl, `sotw ${typeUrl}`])),
  delta: new Map(PUSH_ORDER.map((typeUrl) => [typeUrl, `delta ${typeUrl}`])),
};

function keyOf(planned: Planned): string {
  return KEYS["removed" in planned ? "delta" : "sotw"].get(planned.typeUrl) ?? planned.typeUrl;
}

function same(a: Planned, b: Planned): boolean {
  if (a.ttl !== b.ttl) return false;
  if ("removed" in a) {
    if (!("removed" in b) || a.systemVersion !== b.systemVersion) return false;
    return equal(a.resources, b.resources, sameItem) && equal(a.removed, b.removed, Object.is);
  }
  if ("removed" in b || a.version !== b.version) return false;
  return equal(a.resources, b.resources, Object.is) && equal(a.heartbeats, b.heartbeats, Object.is);
}

function equal<T>(a: readonly T[], b: readonly T[], sameEntry: (a: T, b: T) => boolean): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((entry, index) => sameEntry(entry, b[index] as T));
}

function sameItem(a: DeltaItem, b: DeltaItem): boolean {
  if (a === b) return true;
  return "heartbeat" in a && "heartbeat" in b && a.heartbeat === b.heartbeat;
}
