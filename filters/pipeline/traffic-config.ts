/** The part of the configuration that belongs to no stage: which requests are LLM calls, how much of them is held, what is measured. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { Bytes } from "../sdk";
import { ConfigReader, isVisible } from "./config-reader";
import { WantedHeaders } from "./header-capture";

const DEFAULT_MAX_BODY: i32 = 10 * 1024 * 1024;
const MAX_BODY: i32 = 64 * 1024 * 1024;
const MAX_PATHS = 32;
/** Models with statistics of their own. */
const MAX_MEASURED = 64;

const GENERATE = ":generateContent";
const STREAM_GENERATE = ":streamGenerateContent";

@final
export class TrafficConfig {
  /** Path suffixes of LLM calls. */
  suffixes: Bytes[] = [];
  /** Gemini's methods are LLM calls. */
  gemini: bool = false;
  geminiStream: bool = false;
  maxBodyBytes: i32 = DEFAULT_MAX_BODY;
  /** Of several `model` keys the last one counts, instead of the request being refused. */
  lastModelWins: bool = false;
  tokensPerByte: f64 = 0.25;
  metrics: bool = true;
  /** Models with statistics of their own; null: those that the configuration names. */
  measured: Bytes[] | null = null;
  accessLog: bool = false;
  readonly wanted: WantedHeaders = new WantedHeaders();

  constructor() {
    const paths = [
      "/chat/completions",
      "/completions",
      "/responses",
      "/embeddings",
      "/messages",
      "/messages/count_tokens",
      "/audio/transcriptions",
      "/audio/translations",
      "/audio/speech",
      "/images/generations",
      "/images/edits",
      "/images/variations",
      GENERATE,
      STREAM_GENERATE,
    ];
    for (let i = 0; i < paths.length; i++) this.addPath(Bytes.literal(paths[i]));
  }

  /** Takes the field if it is one of these; false leaves it to the stages. Before them, because they build on it. */
  take(name: string, value: JsonNode, reader: ConfigReader): bool {
    if (name == "paths") this.paths(value, reader);
    else if (name == "maxBodyBytes") this.maxBodyBytes = reader.integer(name, value, 1, MAX_BODY);
    else if (name == "duplicateModel") this.lastModelWins = reader.oneOf(name, value, ["reject", "lastWins"]) == 1;
    else if (name == "tokensPerByte") this.tokensPerByte = ratio(name, value, reader);
    else if (name == "accessLog") this.accessLog = reader.flag(name, value);
    else if (name == "metrics") this.readMetrics(value, reader);
    else return false;
    return true;
  }

  private paths(node: JsonNode, reader: ConfigReader): void {
    const entries = reader.list("paths", node, 1, MAX_PATHS);
    this.suffixes = [];
    this.gemini = false;
    this.geminiStream = false;
    for (let i = 0; i < entries.length; i++) {
      const at = "paths[" + i.toString() + "]";
      const path = reader.text(at, entries[i]);
      if (path.len > 0 && !this.addPath(path)) {
        reader.fail(at, "must begin with '/' and be visible ASCII, or be " + GENERATE + " or " + STREAM_GENERATE);
      }
    }
  }

  private addPath(path: Bytes): bool {
    if (path.equals(Bytes.literal(GENERATE))) this.gemini = true;
    else if (path.equals(Bytes.literal(STREAM_GENERATE))) this.geminiStream = true;
    else if (path.at(0) == 0x2f && isVisible(path)) this.suffixes.push(path);
    else return false;
    return true;
  }

  private readMetrics(node: JsonNode, reader: ConfigReader): void {
    if (!reader.isObject("metrics", node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      if (name == "enabled") this.metrics = reader.flag("metrics.enabled", node.values[i]);
      else if (name == "models") this.measured = names(node.values[i], reader);
      else reader.unknown("metrics." + name);
    }
  }
}

function names(node: JsonNode, reader: ConfigReader): Bytes[] {
  const entries = reader.list("metrics.models", node, 0, MAX_MEASURED);
  const models: Bytes[] = [];
  for (let i = 0; i < entries.length; i++) models.push(reader.plain("metrics.models[" + i.toString() + "]", entries[i]));
  return models;
}

function ratio(path: string, node: JsonNode, reader: ConfigReader): f64 {
  if (node.kind == NodeKind.Number && node.number > 0 && node.number <= 4) return node.number;
  reader.fail(path, "must be a number above 0 and at most 4");
  return 1;
}
