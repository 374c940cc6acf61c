import { buffer, BufferType, Bytes, FilterHeadersStatus, headers, HttpContext, MapType } from "../../../filters/sdk";
import { Metric, registerRoot, RootContext, Status, StreamContext } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_response_headers } from "../../../filters/sdk/exports/http";

const NAME = Bytes.literal("x-region");

class RegionRoot extends RootContext {
  region: Bytes = new Bytes();
  answers: Metric | null = null;

  onConfigure(size: i32): bool {
    const text = new Bytes();
    if (size == 0 || buffer.get(BufferType.PluginConfiguration, 0, size, text) != Status.Ok) return false;
    this.region = text.copy();
    this.answers = Metric.counter("region_answers");
    return true;
  }

  createStream(): StreamContext {
    return new Region(this);
  }
}

class Region extends HttpContext {
  constructor(private readonly root: RegionRoot) {
    super(root);
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    headers.replace(MapType.HttpResponseHeaders, NAME, this.root.region);
    const answers = this.root.answers;
    if (answers !== null) answers.add(1);
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("region", () => new RegionRoot());
