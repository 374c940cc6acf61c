/**
 * Configuration of the routing stage: its fields of the plugin configuration -> `RoutingConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonNode, NodeKind } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { Problem } from "../pipeline/exchange";
import { RESERVED_PREFIX } from "../pipeline/reserved-headers";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { ModelEntry, ModelTable } from "./model-table";
import { Rule } from "./rule";
import { RuleReader } from "./rule-reader";
import { Target } from "./target";
import { TargetTable } from "./target-reader";

/** Carries the model that the client asked for; on answers the one that served it. */
export const MODEL_HEADER = Bytes.literal("x-llm-model");

/** What Envoy's router goes by; of a request that has fallbacks, the client decides neither. */
export const TRY_TIMEOUT = Bytes.literal("x-envoy-upstream-rq-per-try-timeout-ms");
export const HEDGE = Bytes.literal("x-envoy-hedge-on-per-try-timeout");

const MAX_MODELS = 1024;

/** A header that clients put their key into. */
@final
export class ClientKey {
  constructor(
    /** Among the captured headers. */
    readonly index: i32,
    readonly name: Bytes,
  ) {}
}

@final
export class RoutingConfig {
  routeHeader: Bytes = Bytes.literal("x-llm-route");
  clusterHeader: Bytes = Bytes.literal("x-llm-cluster");
  responseHeaders: bool = false;
  rules: Rule[] = [];
  readonly models: ModelTable = new ModelTable();
  /** Exact model names, for statistics. */
  readonly modelNames: Bytes[] = [];
  /** Targets of requests that cannot be routed by their model; null refuses them. */
  onMissingModel: Target | null = null;
  onUnknownModel: Target | null = null;
  onMalformedBody: Target | null = null;
  onBodyTooLarge: Target | null = null;
  onBodyUnreadable: Target | null = null;
  /** Indices among the captured headers. */
  authority: i32 = 0;
  tryTimeout: i32 = 0;
  hedge: i32 = 0;
  readonly clientKeys: ClientKey[] = [];

  get needsChat(): bool {
    for (let i = 0; i < this.rules.length; i++) if (this.rules[i].needsChat) return true;
    return false;
  }

  policyFor(problem: Problem): Target | null {
    if (problem == Problem.Malformed) return this.onMalformedBody;
    return problem == Problem.TooLarge ? this.onBodyTooLarge : this.onBodyUnreadable;
  }
}

/** Reads the members of `root` that are the router's. `at` is put in front of paths. */
@final
export class RoutingReader {
  private readonly config: RoutingConfig = new RoutingConfig();
  private tenantHeader: i32 = -1;

  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    private readonly at: string,
  ) {}

  /** `taken` are the names of members that somebody else has read. */
  read(root: JsonNode, taken: string[]): RoutingConfig {
    const config = this.config;
    const reader = this.reader;
    // What others refer to comes first, whatever the order in the text.
    const targets = new TargetTable(reader, this.at);
    const targetNode = root.get("targets");
    if (targetNode !== null) targets.readAll(targetNode);
    const tenant = root.get("tenantHeader");
    if (tenant !== null) this.tenantHeader = this.traffic.wanted.want(reader.requestHeader(this.at + "tenantHeader", tenant));
    let listed = false;
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      const at = this.at + name;
      if (taken.includes(name)) continue;
      if (name == "models") this.models(at, value);
      else if (name == "rules") config.rules = new RuleReader(reader, this.traffic, targets, this.tenantHeader).readAll(at, value);
      else if (name == "routeHeader") config.routeHeader = this.ownHeader(at, value);
      else if (name == "clusterHeader") config.clusterHeader = this.ownHeader(at, value);
      else if (name == "responseHeaders") config.responseHeaders = reader.flag(at, value);
      else if (name == "onMissingModel") config.onMissingModel = this.policy(at, value, targets);
      else if (name == "onUnknownModel") config.onUnknownModel = this.policy(at, value, targets);
      else if (name == "onMalformedBody") config.onMalformedBody = this.policy(at, value, targets);
      else if (name == "onBodyTooLarge") config.onBodyTooLarge = this.policy(at, value, targets);
      else if (name == "onBodyUnreadable") config.onBodyUnreadable = this.policy(at, value, targets);
      else if (name != "targets" && name != "tenantHeader") reader.unknown(at);
      listed = listed || name == "models" || name == "rules";
    }
    if (!listed) reader.fail(this.at + "models", "missing; list at least one {model, route}, or rules");
    if (config.routeHeader.equals(config.clusterHeader)) reader.fail(this.at + "clusterHeader", "is the same as routeHeader; choose another name");
    this.wantHeaders(targets);
    this.nameModels();
    return config;
  }

  private wantHeaders(targets: TargetTable): void {
    const wanted = this.traffic.wanted;
    this.config.authority = wanted.want(Bytes.literal(":authority"));
    this.config.tryTimeout = wanted.wantPresence(TRY_TIMEOUT);
    this.config.hedge = wanted.wantPresence(HEDGE);
    const keys = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    for (let i = 0; i < keys.length; i++) this.takeKey(Bytes.literal(keys[i]));
    for (let i = 0; i < targets.targets.length; i++) {
      const credential = targets.targets[i].credential;
      if (credential !== null) this.takeKey(credential.header);
    }
  }

  private takeKey(name: Bytes): void {
    const keys = this.config.clientKeys;
    for (let i = 0; i < keys.length; i++) if (keys[i].name.equals(name)) return;
    keys.push(new ClientKey(this.traffic.wanted.wantPresence(name), name));
  }

  private nameModels(): void {
    const names = this.config.modelNames;
    for (let i = 0; i < this.config.rules.length; i++) {
      const models = this.config.rules[i].match.models;
      for (let j = 0; j < models.length; j++) if (!models[j].prefix) names.push(models[j].text);
    }
  }

  private ownHeader(path: string, node: JsonNode): Bytes {
    const name = this.reader.headerName(path, node);
    if (!name.startsWith(RESERVED_PREFIX) || name.len == RESERVED_PREFIX.len) {
      this.reader.fail(path, "must begin with x-llm-, because only such headers are taken from clients");
    }
    if (name.equals(MODEL_HEADER)) this.reader.fail(path, "x-llm-model carries the requested model; choose another name");
    return name;
  }

  private models(path: string, node: JsonNode): void {
    const entries = this.reader.list(path, node, 1, MAX_MODELS);
    const table = this.config.models;
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      const entry = entries[i];
      const model = entry.kind == NodeKind.Object ? entry.get("model") : null;
      if (model === null) {
        this.reader.fail(at, "must be an object with model and route");
        continue;
      }
      const pattern = this.reader.plain(at + ".model", model);
      const wildcard = pattern.len > 0 && pattern.at(pattern.len - 1) == 0x2a;
      if (wildcard) pattern.len--;
      if (pattern.indexOf(0x2a) >= 0) this.reader.fail(at + ".model", "'*' may stand only at the end");
      const named = new ModelEntry(pattern, this.shortTarget(at, entry, true));
      if (!(wildcard ? table.addPrefix(named) : table.addExact(named))) {
        this.reader.fail(at + ".model", "stands twice in the list; keep one");
      }
      if (!wildcard) this.config.modelNames.push(pattern);
    }
  }

  /** `{route, upstreamModel}`, its name in statistics being the route. */
  private shortTarget(path: string, node: JsonNode, named: bool): Target {
    const reader = this.reader;
    const routeNode = node.get("route");
    let route = new Bytes();
    if (routeNode === null) reader.fail(path + ".route", "missing");
    else route = reader.visible(path + ".route", routeNode);
    const target = new Target(route);
    target.value = route;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      if (name == "upstreamModel") target.upstreamModel = reader.plain(path + ".upstreamModel", node.values[i]);
      else if (name != "route" && !(named && name == "model")) reader.unknown(path + "." + name);
    }
    return target;
  }

  private policy(path: string, node: JsonNode, targets: TargetTable): Target | null {
    if (node.kind == NodeKind.String && node.text == "reject") return null;
    if (node.kind != NodeKind.Object) {
      this.reader.fail(path, 'must be "reject" or an object with route or target');
      return null;
    }
    const target = node.get("target");
    if (target === null) return this.shortTarget(path, node, false);
    if (node.names.length > 1) this.reader.fail(path, "target must stand alone");
    return targets.find(path + ".target", target);
  }
}
