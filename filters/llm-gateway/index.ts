/** Entry of llm-gateway.wasm. */
import { AttemptRoot } from "../llm-router/attempt";
import { registerRoot } from "../sdk";
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
export { proxy_on_tick } from "../sdk/exports/root";

registerRoot("llm-gateway", () => new LlmGatewayRoot());
registerRoot("llm-router-attempt", () => new AttemptRoot());
