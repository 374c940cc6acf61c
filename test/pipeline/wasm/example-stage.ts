import { JsonNode } from "../../../filters/lib/json-document";
import { RoutingReader } from "../../../filters/llm-router/config";
import { addRouting } from "../../../filters/llm-router/llm-router";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { Exchange } from "../../../filters/pipeline/exchange";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Refusal } from "../../../filters/pipeline/refusal";
import { Stage, Verdict } from "../../../filters/pipeline/stage";
import { Bytes, registerRoot } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export {
  proxy_on_request_body,
  proxy_on_request_headers,
  proxy_on_request_trailers,
  proxy_on_response_body,
  proxy_on_response_headers,
} from "../../../filters/sdk/exports/http";
export { proxy_on_tick } from "../../../filters/sdk/exports/root";

const tooManyImages = new Refusal(400, "too_many_images", "The request has too many images", "messages", "invalid_request_error");
const nothing = new Bytes();

/** Refuses requests with more images than `most`. */
class ImageLimit extends Stage {
  constructor(private readonly most: u32) {
    super();
    this.needsChat = true;
  }

  onRequest(exchange: Exchange): Verdict {
    const chat = exchange.chat;
    if (chat === null || chat.images <= this.most) return Verdict.Next;
    tooManyImages.send(exchange.api, nothing);
    return Verdict.Answered;
  }
}

class ExampleRoot extends LlmRoot {
  constructor() {
    super("example");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const limit = configuration.get("imageLimit");
    if (limit !== null) this.addStage(new ImageLimit(reader.integer("imageLimit", limit, 0, 100)));
    const router = configuration.get("router");
    if (router !== null) addRouting(this, new RoutingReader(reader, this.traffic, "router.").read(router, []));
  }
}

registerRoot("example", () => new ExampleRoot());
