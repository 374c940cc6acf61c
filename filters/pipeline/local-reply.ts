/**
 * Gives Envoy's own error answers (no healthy upstream, timeout, connection failure, a body over the buffer limit) the shape of the API that was called.
 *
 * They pass the response callbacks of every filter like an answer of the upstream. What tells them apart is `response.code_details`; asking for it
 * on every answer would cost a hostcall each, but they have very few headers.
 * Reference: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details
 */
import { Api } from "../lib/llm-api";
import { buffer, BufferType, Bytes, ByteWriter, headers, MapType, property, Status } from "../sdk";
import {
  bodyTooLarge,
  clusterUnknown,
  noHealthyUpstream,
  Refusal,
  routeUnknown,
  upstreamOverloaded,
  upstreamProtocolError,
  upstreamTimeout,
  upstreamUnreachable,
} from "./refusal";

/** :status, content-type and content-length, and two that a configuration or a stage of Envoy's may add. */
const FEW: i32 = 5;

const DETAILS = Bytes.literal("response\0code_details");
const STATUS = Bytes.literal(":status");
const CONTENT_TYPE = Bytes.literal("content-type");
const CONTENT_LENGTH = Bytes.literal("content-length");
const JSON = Bytes.literal("application/json");

@final
class Known {
  constructor(
    readonly details: Bytes,
    readonly refusal: Refusal,
  ) {}
}

function known(details: string, refusal: Refusal): Known {
  return new Known(Bytes.literal(details), refusal);
}

/** Everything else is left as it is: a direct response of the route, an answer of another filter. */
const REPLIES = [
  known("no_healthy_upstream", noHealthyUpstream),
  known("cluster_not_found", clusterUnknown),
  known("route_not_found", routeUnknown),
  known("upstream_reset_before_response_started{overflow", upstreamOverloaded),
  known("upstream_reset_before_response_started{protocol_error", upstreamProtocolError),
  known("upstream_reset_before_response_started", upstreamUnreachable),
  known("upstream_response_timeout", upstreamTimeout),
  known("response_timeout", upstreamTimeout),
  known("upstream_per_try", upstreamTimeout),
  known("upstream_max_stream_duration", upstreamTimeout),
  known("stream_idle_timeout", upstreamTimeout),
  known("request_payload_too_large", bodyTooLarge),
];

const details = new Bytes();
const status = new Bytes();
const nothing = new Bytes();
const text = new ByteWriter();

/**
 * What Envoy's own answer with `count` headers stands for; null for any other answer, and for one whose status is not the code's: 408 to a client that was
 * too slow is no upstream_timeout. No hostcall for answers with many headers.
 */
export function envoyRefusal(count: i32): Refusal | null {
  if (count > FEW || property.get(DETAILS, details) != Status.Ok) return null;
  let refusal: Refusal | null = null;
  for (let i = 0; i < REPLIES.length && refusal === null; i++) {
    if (details.startsWith(unchecked(REPLIES[i]).details)) refusal = unchecked(REPLIES[i]).refusal;
  }
  if (refusal === null || headers.get(MapType.HttpResponseHeaders, STATUS, status) != Status.Ok) return null;
  return status.equals(text.reset().decimal(refusal.status).view()) ? refusal : null;
}

/** Makes the headers right for the body that `replaceBody` will write. */
export function replaceHeaders(api: Api, refusal: Refusal): void {
  headers.replace(MapType.HttpResponseHeaders, CONTENT_TYPE, JSON);
  headers.replace(MapType.HttpResponseHeaders, CONTENT_LENGTH, text.reset().decimal(refusal.write(api, nothing).len).view());
}

export function replaceBody(api: Api, refusal: Refusal): void {
  buffer.replace(BufferType.HttpResponseBody, refusal.write(api, nothing));
}
