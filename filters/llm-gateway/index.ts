/** Entry of llm-gateway.wasm. */
import { AttemptRoot } from "../llm-router/attempt";
import { registerRoot } from "../sdk";
import { StreamEndRoot } from "../stream-end/stream-end";
import { LlmGatewayRoot } from "./llm-gateway";

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
export { proxy_on_downstream_data, proxy_on_new_connection, proxy_on_upstream_data } from "../sdk/exports/tcp";

registerRoot("llm-gateway", () => new LlmGatewayRoot());
registerRoot("llm-router-attempt", () => new AttemptRoot());
registerRoot("llm-stream-end", () => new StreamEndRoot());
