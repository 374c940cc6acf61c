/** Entry of prompt-cache.wasm. Only callbacks that do something are exported: each one is a VM entry per stream. */
import { registerRoot } from "../sdk";
import { PromptCacheRoot } from "./prompt-cache";

export * from "../sdk/exports/lifecycle";
export {
  proxy_on_request_body,
  proxy_on_request_headers,
  proxy_on_request_trailers,
  proxy_on_response_body,
  proxy_on_response_headers,
  proxy_on_response_trailers,
} from "../sdk/exports/http";
export { proxy_on_grpc_close, proxy_on_grpc_receive, proxy_on_queue_ready, proxy_on_tick } from "../sdk/exports/root";

registerRoot("prompt-cache", () => new PromptCacheRoot());
