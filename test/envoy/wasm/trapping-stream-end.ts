/** The rate limiter with a stage behind it that traps when a request carries `x-trap`, and the filter that ends streams: its VM dies with connections. */
import { JsonNode } from "../../../filters/lib/json-document";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { Exchange } from "../../../filters/pipeline/exchange";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Stage, Verdict } from "../../../filters/pipeline/stage";
import { Bytes, registerRoot } from "../../../filters/sdk";
import { StreamEndRoot } from "../../../filters/stream-end/stream-end";
import { RateLimitReader } from "../../../filters/token-rate-limit/config";
import { addRateLimit } from "../../../filters/token-rate-limit/token-rate-limit";

export * from "../../../filters/sdk/exports/lifecycle";
export {
  proxy_on_request_body,
  proxy_on_request_headers,
  proxy_on_request_trailers,
  proxy_on_response_body,
  proxy_on_response_headers,
  proxy_on_response_trailers,
} from "../../../filters/sdk/exports/http";
export { proxy_on_tick } from "../../../filters/sdk/exports/root";
export { proxy_on_downstream_data, proxy_on_new_connection, proxy_on_upstream_data } from "../../../filters/sdk/exports/tcp";

@final
class TrappingStage extends Stage {
  constructor(private readonly header: i32) {
    super();
  }

  onRequest(exchange: Exchange): Verdict {
    assert(!exchange.headers.has(this.header), "trap on purpose");
    return Verdict.Next;
  }
}

@final
class TrappingRoot extends LlmRoot {
  constructor() {
    super("trapping-stream-end");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    addRateLimit(this, new RateLimitReader(reader, this.traffic, "").read(configuration, []));
    this.addStage(new TrappingStage(this.traffic.wanted.want(Bytes.literal("x-trap"))));
  }
}

registerRoot("trapping-stream-end", () => new TrappingRoot());
registerRoot("llm-stream-end", () => new StreamEndRoot());
