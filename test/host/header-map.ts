/**
 * Envoy's header map as a filter sees it: ordered, lower-case names, repeated names allowed except for the headers that
 * Envoy keeps in fixed slots, whose values it joins. Serialisation: the `pairs` layout of the ABI.
 *
 *   u32 count | count x (u32 name length, u32 value length) | name \0 value \0 ...
 *
 * Names and values are byte strings (one character per byte).
 */
import { bytesOf, maxPairsBytes, maxPairsCount, textOf } from "./abi.ts";

export type Pair = readonly [name: string, value: string];
export type HeaderInput = readonly Pair[] | Readonly<Record<string, string | readonly string[]>>;

/**
 * Names that Envoy keeps in one slot per map: a second value is appended to the first with a comma. From the line
 * "HTTP header map info" of Envoy 1.40's log; extensions register some of them.
 */
const slots = {
  request: `
    :authority :method :path :protocol :scheme accept accept-encoding access-control-request-headers
    access-control-request-method access-control-request-private-network authentication authorization cache-control
    cdn-loop connection content-encoding content-length content-type expect grpc-accept-encoding grpc-timeout
    if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive origin pragma proxy-connection
    proxy-status referer te transfer-encoding upgrade user-agent via x-client-trace-id x-envoy-attempt-count
    x-envoy-decorator-operation x-envoy-downstream-service-cluster x-envoy-downstream-service-node
    x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-force-trace x-envoy-hedge-on-per-try-timeout
    x-envoy-internal x-envoy-ip-tags x-envoy-is-timeout-retry x-envoy-max-retries x-envoy-original-host
    x-envoy-original-path x-envoy-original-url x-envoy-retriable-header-names x-envoy-retriable-status-codes
    x-envoy-retry-grpc-on x-envoy-retry-on x-envoy-upstream-alt-stat-name x-envoy-upstream-rq-per-try-timeout-ms
    x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms x-envoy-upstream-stream-duration-ms
    x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id`,
  response: `
    :status access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-allow-private-network access-control-expose-headers
    access-control-max-age age cache-control connection content-encoding content-length content-type date etag
    expires grpc-message grpc-status keep-alive last-modified location proxy-connection proxy-status server
    transfer-encoding upgrade vary via x-envoy-attempt-count x-envoy-decorator-operation x-envoy-degraded
    x-envoy-immediate-health-check-fail x-envoy-ratelimited x-envoy-upstream-canary
    x-envoy-upstream-healthchecked-cluster x-envoy-upstream-service-time x-request-id`,
  trailers: "grpc-message grpc-status",
} as const;
export type MapKind = keyof typeof slots;

const slotSets = new Map(Object.entries(slots).map(([kind, names]) => [kind, new Set(names.trim().split(/\s+/))]));

export class HeaderMap {
  #pairs: [string, string][] = [];

  readonly kind: MapKind;

  constructor(headers: HeaderInput = [], kind: MapKind = "request") {
    this.kind = kind;
    const list = Array.isArray(headers)
      ? (headers as readonly Pair[])
      : Object.entries(headers as Record<string, string | readonly string[]>);
    for (const [name, value] of list)
      for (const one of typeof value === "string" ? [value] : value) this.add(name, one);
  }

  get size(): number {
    return this.#pairs.length;
  }

  /** Bytes of all names and values, without separators: what proxy_get_header_map_size returns. */
  get byteSize(): number {
    return this.#pairs.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  }

  pairs(): Pair[] {
    return this.#pairs.map(([name, value]) => [name, value]);
  }

  all(name: string): string[] {
    const key = name.toLowerCase();
    return this.#pairs.filter(([other]) => other === key).map(([, value]) => value);
  }

  /** The first value only, as Envoy does. */
  get(name: string): string | undefined {
    return this.all(name)[0];
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  add(name: string, value: string): void {
    const key = name.toLowerCase();
    const slot = slotSets.get(this.kind)?.has(key) ? this.#pairs.find(([other]) => other === key) : undefined;
    if (slot) slot[1] += `,${value}`;
    else this.#pairs.push([key, value]);
  }

  /** Removes every value of the name, then adds the new one at the end. */
  replace(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    const key = name.toLowerCase();
    this.#pairs = this.#pairs.filter(([other]) => other !== key);
  }

  clear(): void {
    this.#pairs = [];
  }

  clone(): HeaderMap {
    return new HeaderMap(this.#pairs, this.kind);
  }

  /** Plain object for assertions; repeated names become arrays. */
  toObject(): Record<string, string | string[]> {
    const result: Record<string, string | string[]> = {};
    for (const [name] of this.#pairs) {
      const values = this.all(name);
      result[name] = values.length === 1 && values[0] !== undefined ? values[0] : values;
    }
    return result;
  }
}

export function serializePairs(pairs: readonly Pair[]): Uint8Array {
  const encoded = pairs.map(([name, value]) => [bytesOf(name), bytesOf(value)] as const);
  const size = encoded.reduce((sum, [name, value]) => sum + 10 + name.length + value.length, 4);
  const bytes = new Uint8Array(size);
  const words = new DataView(bytes.buffer);
  words.setUint32(0, pairs.length, true);
  let lengths = 4;
  let text = 4 + 8 * pairs.length;
  for (const part of encoded.flat()) {
    words.setUint32(lengths, part.length, true);
    lengths += 4;
    bytes.set(part, text);
    text += part.length + 1;
  }
  return bytes;
}

/** Reads pairs the way Envoy does: anything malformed or over a limit yields an empty list and no error. */
export function parsePairs(bytes: Uint8Array): Pair[] {
  if (bytes.length < 4 || bytes.length > maxPairsBytes) return [];
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = words.getUint32(0, true);
  if (count > maxPairsCount || 4 + count * 8 > bytes.length) return [];
  const parts: string[] = [];
  let at = 4 + count * 8;
  for (let index = 0; index < count * 2; index++) {
    const size = words.getUint32(4 + index * 4, true);
    if (at + size + 1 > bytes.length || bytes[at + size] !== 0) return [];
    parts.push(textOf(bytes.subarray(at, at + size)));
    at += size + 1;
  }
  if (at !== bytes.length) return [];
  return Array.from({ length: count }, (_, index) => [parts[index * 2] ?? "", parts[index * 2 + 1] ?? ""]);
}
