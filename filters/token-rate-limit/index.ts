/** Entry of token-rate-limit.wasm. Only callbacks that do something are exported: each one is a VM entry per stream. */
import { registerRoot } from "../sdk";
import { StreamEndRoot } from "../stream-end/stream-end";
import { TokenRateLimitRoot } from "./token-rate-limit";

export * from "../sdk/exports/lifecycle";
export {
  proxy_on_request_body,
  proxy_on_request_headers,
  proxy_on_request_trailers,
  proxy_on_response_body,
  proxy_on_response_headers,
  proxy_on_response_trailers,
} from "../sdk/exports/http";
export { proxy_on_grpc_close, proxy_on_grpc_receive, proxy_on_tick } from "../sdk/exports/root";
export { proxy_on_downstream_data, proxy_on_new_connection, proxy_on_upstream_data } from "../sdk/exports/tcp";

registerRoot("token-rate-limit", () => new TokenRateLimitRoot());
registerRoot("llm-stream-end", () => new StreamEndRoot());
