/**
 * Properties (CEL attributes) as Envoy serialises them: text raw, integers and durations as 8 little-endian bytes,
 * booleans as one byte. A test overrides or adds any with `attributes.set("upstream.address", "10.0.0.1:80")`.
 */
import { bytesOf } from "./abi.ts";
import type { Direction } from "./filter-manager.ts";
import type { HeaderMap } from "./header-map.ts";
import type { StreamContext } from "./stream-context.ts";

export type AttributeValue = string | number | bigint | boolean | Uint8Array;
export type Attributes = Map<string, AttributeValue>;

export function serializeAttribute(value: AttributeValue): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return bytesOf(value);
  if (typeof value === "boolean") return new Uint8Array([Number(value)]);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes;
}

export interface StreamFacts {
  request: Direction;
  response: Direction;
  clientAddress: string;
  localAddress: string;
  connectionId: number;
  elapsedMs: number;
  startNs: bigint;
  ended: boolean;
  responseCodeDetails: string | undefined;
}

/** Attributes of a stream at this moment; what is undefined is NOT_FOUND. */
export function streamAttribute(
  path: readonly string[],
  context: StreamContext,
  facts: StreamFacts,
): AttributeValue | undefined {
  const [scope, name, key] = path;
  const { request, response } = context.sides;
  const log = context.logMaps;
  const requestHeaders = request.headers ?? log?.[0];
  const responseHeaders = response.headers ?? log?.[2];
  const header = (map: HeaderMap | undefined, wanted: string | undefined): string | undefined =>
    wanted === undefined ? undefined : map?.all(wanted).join(",") || undefined;
  if (scope === "request") {
    const target = header(requestHeaders, ":path");
    switch (name) {
      case "path":
        return target;
      case "url_path":
        return target?.replace(/\?.*$/s, "");
      case "query":
        return target === undefined ? undefined : (target.split(/\?(.*)/s)[1] ?? "");
      case "host":
        return header(requestHeaders, ":authority");
      case "scheme":
        return header(requestHeaders, ":scheme");
      case "method":
        return header(requestHeaders, ":method");
      case "referer":
        return header(requestHeaders, "referer");
      case "useragent":
        return header(requestHeaders, "user-agent");
      case "id":
        return header(requestHeaders, "x-request-id");
      case "headers":
        return header(requestHeaders, key);
      case "time":
        return facts.startNs;
      case "protocol":
        return "HTTP/1.1";
      case "duration":
        return facts.ended ? BigInt(Math.round(facts.elapsedMs * 1e6)) : undefined;
      case "size":
        return Number(header(requestHeaders, "content-length") ?? facts.request.received);
      case "total_size":
        return facts.request.received + (requestHeaders?.byteSize ?? 0);
    }
  }
  if (scope === "response") {
    const code = facts.response.headers?.get(":status");
    switch (name) {
      case "code":
        return code === undefined ? undefined : Number(code);
      case "code_details":
        return facts.responseCodeDetails;
      case "flags":
        return 0;
      case "headers":
        return header(responseHeaders, key);
      case "trailers":
        return header(response.trailers ?? log?.[3], key);
      case "size":
        return facts.response.received;
      case "total_size":
        return facts.response.received + (responseHeaders?.byteSize ?? 0);
    }
  }
  if (scope === "source" && name === "address") return facts.clientAddress;
  if (scope === "source" && name === "port") return portOf(facts.clientAddress);
  if (scope === "destination" && name === "address") return facts.localAddress;
  if (scope === "destination" && name === "port") return portOf(facts.localAddress);
  if (scope === "connection_id" || (scope === "connection" && name === "id")) return facts.connectionId;
  if (scope === "connection" && name === "mtls") return false;
  return undefined;
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));
