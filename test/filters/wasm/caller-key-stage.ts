/** A stage that says in the log whose each request is: whether the member `key` is complete, the values as `writeKey` puts them, and the hash of `hashKey`. */
import { JsonNode } from "../../../filters/lib/json-document";
import { callerKey, hashKey, writeKey } from "../../../filters/pipeline/caller-key/caller-key";
import { KeyPart } from "../../../filters/pipeline/caller-key/key-part";
import { KeyReader } from "../../../filters/pipeline/caller-key/key-reader";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { Exchange } from "../../../filters/pipeline/exchange";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Stage, Verdict } from "../../../filters/pipeline/stage";
import { Bytes, ByteWriter, log, LogLevel, registerRoot } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_body, proxy_on_request_headers, proxy_on_request_trailers } from "../../../filters/sdk/exports/http";
export { proxy_on_tick } from "../../../filters/sdk/exports/root";

@final
class CallerKeyStage extends Stage {
  private readonly values: ByteWriter = new ByteWriter();

  constructor(private readonly key: KeyPart[]) {
    super();
    this.needsChat = true;
  }

  onRequest(exchange: Exchange): Verdict {
    const complete = writeKey(this.key, exchange, this.values.reset());
    const hashed = hashKey(Bytes.literal("rule"), this.key, exchange, null);
    const hash = callerKey.low.toString(16) + callerKey.high.toString(16);
    log.text(LogLevel.Info, "key " + flag(complete) + flag(hashed) + " " + hash + " " + hex(this.values.view()));
    return Verdict.Next;
  }
}

@final
class CallerKeyRoot extends LlmRoot {
  constructor() {
    super("caller-key-stage");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const tenant = this.traffic.wanted.want(Bytes.literal("x-tenant"));
    const key = configuration.get("key");
    if (key !== null) this.addStage(new CallerKeyStage(new KeyReader(reader, this.traffic, tenant).readAll("key", key)));
  }
}

function flag(value: bool): string {
  return value ? "1" : "0";
}

function hex(bytes: Bytes): string {
  let text = "";
  for (let i = 0; i < bytes.len; i++) text += (<u32>bytes.at(i) + 256).toString(16).substring(1);
  return text;
}

registerRoot("caller-key-stage", () => new CallerKeyRoot());
