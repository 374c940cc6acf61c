/**
 * Plugin configuration of llm-router: JSON text -> `RouterConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonDocument, JsonNode, NodeKind } from "../lib/json-document";
import { Bytes, ByteWriter } from "../sdk";
import { ModelRule, ModelTable } from "./model-table";

export const DEFAULT_MAX_BODY: i32 = 10 * 1024 * 1024;
export const MAX_BODY: i32 = 64 * 1024 * 1024;
const MAX_PATHS = 32;
const MAX_MODELS = 1024;
const MAX_NAME = 256;
const MAX_HEADER = 64;

/** Headers that begin so are ours: taken from every client. */
export const RESERVED_PREFIX = Bytes.literal("x-llm-");
/** Carries the model that the client asked for. */
export const MODEL_HEADER = Bytes.literal("x-llm-model");

/** What to do with a request that cannot be routed by its model: answer with an error, or use a rule. */
@final
export class Fallback {
  constructor(readonly rule: ModelRule | null) {}
}

@final
export class RouterConfig {
  paths: Bytes[] = [];
  maxBodyBytes: i32 = DEFAULT_MAX_BODY;
  routeHeader: Bytes = new Bytes();
  /** Of several `model` keys the last one counts, instead of the request being refused. */
  lastModelWins: bool = false;
  readonly models: ModelTable = new ModelTable();
  onMissingModel: Fallback = new Fallback(null);
  onUnknownModel: Fallback = new Fallback(null);
  onMalformedBody: Fallback = new Fallback(null);
  onBodyTooLarge: Fallback = new Fallback(null);
  onBodyUnreadable: Fallback = new Fallback(null);

  static parse(text: Bytes, faults: string[]): RouterConfig | null {
    const document = new JsonDocument();
    const root = document.parse(text.ptr, text.len);
    if (root === null) {
      faults.push("configuration is not JSON: " + document.error);
      return null;
    }
    const config = new ConfigReader(faults).read(root);
    return faults.length == 0 ? config : null;
  }
}

@final
class ConfigReader {
  constructor(private readonly faults: string[]) {}

  read(root: JsonNode): RouterConfig {
    const config = new RouterConfig();
    if (root.kind != NodeKind.Object) {
      this.faults.push("configuration must be an object");
      return config;
    }
    config.routeHeader = Bytes.literal("x-llm-route");
    let modelsSeen = false;
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      if (name == "paths") config.paths = this.pathList(value);
      else if (name == "maxBodyBytes") config.maxBodyBytes = this.bodyLimit(value);
      else if (name == "routeHeader") config.routeHeader = this.header(value);
      else if (name == "duplicateModel") config.lastModelWins = this.lastWins(value);
      else if (name == "models") {
        modelsSeen = true;
        this.models(value, config.models);
      } else if (name == "onMissingModel") config.onMissingModel = this.fallback(name, value);
      else if (name == "onUnknownModel") config.onUnknownModel = this.fallback(name, value);
      else if (name == "onMalformedBody") config.onMalformedBody = this.fallback(name, value);
      else if (name == "onBodyTooLarge") config.onBodyTooLarge = this.fallback(name, value);
      else if (name == "onBodyUnreadable") config.onBodyUnreadable = this.fallback(name, value);
      else this.faults.push(name + ": unknown field; remove it or correct its spelling");
    }
    if (!modelsSeen) this.faults.push("models: missing; list at least one {model, route}");
    if (config.paths.length == 0) config.paths = defaultPaths();
    return config;
  }

  private pathList(node: JsonNode): Bytes[] {
    const paths: Bytes[] = [];
    if (node.kind != NodeKind.Array || node.values.length == 0 || node.values.length > MAX_PATHS) {
      this.faults.push("paths: must be a list of 1 to 32 path suffixes");
      return paths;
    }
    for (let i = 0; i < node.values.length; i++) {
      const path = this.name("paths[" + i.toString() + "]", node.values[i]);
      if ((path.len > 0 && path.at(0) != 0x2f) || !isVisible(path)) {
        this.faults.push("paths[" + i.toString() + "]: must begin with '/' and be visible ASCII");
      }
      paths.push(path);
    }
    return paths;
  }

  private bodyLimit(node: JsonNode): i32 {
    const value = node.number;
    if (node.kind != NodeKind.Number || value != Math.floor(value) || value < 1 || value > <f64>MAX_BODY) {
      this.faults.push("maxBodyBytes: must be a whole number from 1 to 67108864");
      return DEFAULT_MAX_BODY;
    }
    return <i32>value;
  }

  private header(node: JsonNode): Bytes {
    const name = this.name("routeHeader", node);
    let valid = name.startsWith(RESERVED_PREFIX) && name.len > RESERVED_PREFIX.len && name.len <= MAX_HEADER;
    if (name.equals(MODEL_HEADER)) this.faults.push("routeHeader: x-llm-model carries the requested model; choose another name");
    for (let i = 0; i < name.len; i++) {
      const byte = name.at(i);
      valid = valid && (byte - 97 < 26 || byte - 48 < 10 || byte == 0x2d);
    }
    if (!valid) this.faults.push("routeHeader: must be lower-case and begin with x-llm-, because only such headers are taken from clients");
    return name;
  }

  private lastWins(node: JsonNode): bool {
    const known = node.kind == NodeKind.String && (node.text == "reject" || node.text == "lastWins");
    if (!known) this.faults.push('duplicateModel: must be "reject" or "lastWins"');
    return node.text == "lastWins";
  }

  private models(node: JsonNode, table: ModelTable): void {
    if (node.kind != NodeKind.Array || node.values.length == 0 || node.values.length > MAX_MODELS) {
      this.faults.push("models: must be a list of 1 to 1024 entries");
      return;
    }
    for (let i = 0; i < node.values.length; i++) {
      const path = "models[" + i.toString() + "]";
      const entry = node.values[i];
      const model = entry.kind == NodeKind.Object ? entry.get("model") : null;
      if (model === null) {
        this.faults.push(path + ": must be an object with model and route");
        continue;
      }
      const pattern = this.name(path + ".model", model);
      const wildcard = pattern.len > 0 && pattern.at(pattern.len - 1) == 0x2a;
      if (wildcard) pattern.len--;
      if (pattern.indexOf(0x2a) >= 0) this.faults.push(path + ".model: '*' may stand only at the end");
      const rule = this.rule(path, entry, pattern, true);
      if (!(wildcard ? table.addPrefix(rule) : table.addExact(rule))) {
        this.faults.push(path + ".model: stands twice in the list; keep one");
      }
    }
  }

  private fallback(path: string, node: JsonNode): Fallback {
    if (node.kind == NodeKind.String && node.text == "reject") return new Fallback(null);
    if (node.kind != NodeKind.Object) {
      this.faults.push(path + ": must be \"reject\" or an object with route");
      return new Fallback(null);
    }
    return new Fallback(this.rule(path, node, new Bytes(), false));
  }

  private rule(path: string, node: JsonNode, pattern: Bytes, named: bool): ModelRule {
    const routeNode = node.get("route");
    let route = new Bytes();
    if (routeNode === null) {
      this.faults.push(path + ".route: missing");
    } else {
      route = this.name(path + ".route", routeNode);
      if (!isVisible(route)) this.faults.push(path + ".route: must be visible ASCII, because it becomes a header value");
    }
    const rule = new ModelRule(pattern, route);
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      if (name == "upstreamModel") {
        rule.upstreamModel = this.name(path + ".upstreamModel", node.values[i]);
        rule.upstreamToken = quoted(rule.upstreamModel);
      } else if (name != "route" && !(named && name == "model")) {
        this.faults.push(path + "." + name + ": unknown field; remove it or correct its spelling");
      }
    }
    return rule;
  }

  private name(path: string, node: JsonNode): Bytes {
    const value = Bytes.literal(node.kind == NodeKind.String ? node.text : "");
    if (value.len < 1 || value.len > MAX_NAME) this.faults.push(path + ": must be a string of 1 to 256 bytes");
    return value;
  }
}


function isVisible(text: Bytes): bool {
  for (let i = 0; i < text.len; i++) if (text.at(i) - 0x21 >= 0x5e) return false;
  return true;
}

function defaultPaths(): Bytes[] {
  return [
    Bytes.literal("/chat/completions"),
    Bytes.literal("/completions"),
    Bytes.literal("/responses"),
    Bytes.literal("/embeddings"),
    Bytes.literal("/messages"),
  ];
}

/** The name as a JSON string. */
function quoted(name: Bytes): Bytes {
  const writer = new ByteWriter();
  return writer.byte(0x22).jsonText(name).byte(0x22).view().copy();
}
