/** Reads `pools`. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { HashMethod } from "../lib/hash-method";
import { Policy } from "../lib/pick/pool-settings";
import { xxhash64 } from "../lib/xxhash64";
import { ConfigReader } from "../pipeline/config-reader";
import { MatchReader } from "../pipeline/match/match-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { readEndpoints } from "./endpoint-reader";
import { PoolConfig, ShedConfig, SubsetConfig } from "./pool-config";
import { RequestKeyPart, RequestKeySource } from "./request-key";

const MAX_POOLS: i32 = 32;
const MAX_TARGETS: i32 = 64;
const MAX_PARTS: i32 = 4;
const MAX_POINTS: i32 = 65_536;
const MAX_TOKENS: i32 = 100_000_000;
/** Of a ring, all endpoints and their weights together: as many as it keeps. */
const MOST_POINTS: i32 = 1 << 18;
const HOUR_MS: i32 = 3_600_000;

/** By `Policy`. */
const POLICIES = ["prefix-affinity", "consistent-hash", "round-robin", "random", "least-request", "least-response-time", "weighted-round-robin"];
/** By `HashFunction`. */
const FUNCTIONS = ["xxhash64", "sha1", "murmur"];
/** By `HashMethod`. */
const METHODS = ["rendezvous", "ring", "maglev"];
const NONE = ["fallback", "refuse"];

/** Members that say how an endpoint is picked. */
const SHAPE = ["policy", "hash", "bound", "leastInflight", "affinity", "maxInflight", "slowStartMs", "loraAffinity", "preferLocality"];

@final
export class PoolReader {
  private readonly matches: MatchReader;

  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    tenantHeader: i32,
    /** There is a router whose targets pools can name. */
    private readonly hasTargets: bool,
  ) {
    this.matches = new MatchReader(reader, traffic, tenantHeader);
  }

  readAll(path: string, node: JsonNode): PoolConfig[] {
    const entries = this.reader.list(path, node, 1, MAX_POOLS);
    const pools: PoolConfig[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (!this.reader.isObject(at, entries[i])) continue;
      const pool = this.read(at, entries[i]);
      for (let before = 0; before < pools.length; before++) {
        if (pool.name.len > 0 && pools[before].name.equals(pool.name)) this.reader.fail(at + ".name", "stands twice in the list; names must differ");
      }
      pools.push(pool);
    }
    return pools;
  }

  private read(path: string, node: JsonNode): PoolConfig {
    const pool = new PoolConfig();
    const reader = this.reader;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "name") pool.name = reader.identifier(at, value);
      else if (name == "targets") pool.targets = this.targets(at, value);
      else if (name == "match") pool.match = this.matches.read(at, value);
      else if (name == "policy") pool.settings.policy = max(reader.oneOf(at, value, POLICIES), 0);
      else if (name == "key") pool.key = this.key(at, value);
      else if (name == "hash") this.hash(at, value, pool);
      else if (name == "bound") pool.settings.bound = reader.number(at, value, 1, 10);
      else if (name == "leastInflight") pool.settings.leastInflight = reader.integer(at, value, 1, 1000);
      else if (name == "affinity") this.affinity(at, value, pool);
      else if (name == "maxInflight") pool.settings.maxInflight = reader.integer(at, value, 1, 100_000);
      else if (name == "slowStartMs") pool.settings.slowStartMs = reader.integer(at, value, 0, HOUR_MS);
      else if (name == "loraAffinity") pool.settings.loraAffinity = reader.flag(at, value);
      else if (name == "preferLocality") pool.settings.preferLocality = reader.flag(at, value);
      else if (name == "orca") pool.orca = reader.flag(at, value);
      else if (name == "onNone") pool.refuses = reader.oneOf(at, value, NONE) == 1;
      else if (name == "shed") pool.shed = this.shed(at, value);
      else if (name == "subset") pool.subset = this.subset(at, value);
      else if (name == "endpoints") {
        pool.endpoints = readEndpoints(reader, at, value);
        pool.picks = true;
      }
      else reader.unknown(at);
    }
    pool.shape = shapeOf(node);
    if (node.get("name") === null) reader.fail(path + ".name", "missing");
    this.check(path, node, pool);
    return pool;
  }

  /** What stands only with some policies. */
  private check(path: string, node: JsonNode, pool: PoolConfig): void {
    const reader = this.reader;
    const hashes = pool.settings.policy == Policy.ConsistentHash;
    const affine = pool.settings.policy == Policy.PrefixAffinity;
    if (hashes && pool.key.length == 0) pool.key.push(new RequestKeyPart(RequestKeySource.Prefix, -1, new Bytes()));
    if (!hashes && node.get("key") !== null) reader.fail(path + ".key", "needs policy consistent-hash");
    if (!hashes && node.get("hash") !== null) reader.fail(path + ".hash", "needs policy consistent-hash");
    if (!affine && node.get("affinity") !== null) reader.fail(path + ".affinity", "needs policy prefix-affinity");
    if (!hashes && !affine && node.get("bound") !== null) reader.fail(path + ".bound", "needs policy prefix-affinity or consistent-hash");
    if (!hashes && !affine && node.get("leastInflight") !== null) reader.fail(path + ".leastInflight", "needs policy prefix-affinity or consistent-hash");
    let points: i64 = 0;
    for (let i = 0; i < pool.endpoints.length; i++) points += <i64>pool.endpoints[i].weight * <i64>pool.settings.hashPoints;
    if (pool.settings.hashMethod == HashMethod.Ring && points > MOST_POINTS) {
      reader.fail(path + ".hash.points", "times the weights of the endpoints is over " + MOST_POINTS.toString() + "; lower the points or the weights");
    }
  }

  private targets(path: string, node: JsonNode): Bytes[] {
    const targets: Bytes[] = [];
    const entries = this.reader.list(path, node, 1, MAX_TARGETS);
    for (let i = 0; i < entries.length; i++) targets.push(this.reader.plain(path + "[" + i.toString() + "]", entries[i]));
    if (!this.hasTargets) this.reader.fail(path, "needs the router of llm-gateway; use match");
    return targets;
  }

  private key(path: string, node: JsonNode): RequestKeyPart[] {
    const parts: RequestKeyPart[] = [];
    const entries = this.reader.list(path, node, 1, MAX_PARTS);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (!this.reader.isObject(at, entries[i])) continue;
      if (entries[i].names.length != 1) {
        this.reader.fail(at, "must have one of header, cookie, path, user, session or prefix");
        continue;
      }
      const name = entries[i].names[0];
      parts.push(this.keyPart(at + "." + name, name, entries[i].values[0]));
    }
    return parts;
  }

  private keyPart(at: string, name: string, value: JsonNode): RequestKeyPart {
    const reader = this.reader;
    if (name == "header") return new RequestKeyPart(RequestKeySource.Header, this.traffic.wanted.want(reader.requestHeader(at, value)), new Bytes());
    if (name == "cookie") return new RequestKeyPart(RequestKeySource.Cookie, -1, reader.identifier(at, value));
    if (name == "session" && value.kind == NodeKind.String) {
      return new RequestKeyPart(RequestKeySource.Header, this.traffic.wanted.want(reader.requestHeader(at, value)), new Bytes());
    }
    const sources = ["path", "user", "session", "prefix"];
    const index = sources.indexOf(name);
    if (index < 0) reader.unknown(at);
    else if (!reader.flag(at, value)) reader.fail(at, "must be true, or not there");
    return new RequestKeyPart(<RequestKeySource>(RequestKeySource.Path + max(index, 0)), -1, new Bytes());
  }

  private hash(path: string, node: JsonNode, pool: PoolConfig): void {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "function") pool.settings.hashFunction = max(reader.oneOf(at, value, FUNCTIONS), 0);
      else if (name == "method") pool.settings.hashMethod = max(reader.oneOf(at, value, METHODS), 0);
      else if (name == "points") pool.settings.hashPoints = reader.integer(at, value, 1, MAX_POINTS);
      else reader.unknown(at);
    }
  }

  private affinity(path: string, node: JsonNode, pool: PoolConfig): void {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "threshold") pool.settings.threshold = reader.number(at, value, 0, 1);
      else if (name == "slackTokens") pool.settings.slackTokens = reader.integer(at, value, 0, MAX_TOKENS);
      else if (name == "queueTokens") pool.settings.queueTokens = reader.integer(at, value, 0, MAX_TOKENS);
      else if (name == "requestTokens") pool.settings.requestTokens = reader.integer(at, value, 0, 1_000_000);
      else if (name == "prefixTokens") pool.prefixTokens = reader.integer(at, value, 1, 1_000_000);
      else reader.unknown(at);
    }
  }

  private shed(path: string, node: JsonNode): ShedConfig {
    const shed = new ShedConfig();
    const reader = this.reader;
    if (!reader.isObject(path, node)) return shed;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "header") shed.header = this.traffic.wanted.want(reader.requestHeader(at, value));
      else if (name == "values") shed.values = this.values(at, value);
      else if (name == "waiting") shed.waiting = reader.integer(at, value, 1, 10_000);
      else if (name == "kvPercent") shed.kvPermille = reader.integer(at, value, 1, 100) * 10;
      else reader.unknown(at);
    }
    if (node.get("header") === null) reader.fail(path + ".header", "missing");
    if (node.get("values") === null) reader.fail(path + ".values", "missing");
    return shed;
  }

  private values(path: string, node: JsonNode): Bytes[] {
    const values: Bytes[] = [];
    const entries = this.reader.list(path, node, 1, MAX_TARGETS);
    for (let i = 0; i < entries.length; i++) values.push(this.reader.headerValue(path + "[" + i.toString() + "]", entries[i]));
    return values;
  }

  private subset(path: string, node: JsonNode): SubsetConfig {
    const subset = new SubsetConfig();
    const reader = this.reader;
    if (!reader.isObject(path, node)) return subset;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "header") {
        subset.headerName = reader.requestHeader(at, node.values[i]);
        subset.header = this.traffic.wanted.wantPresence(subset.headerName);
      } else if (name == "metadata") subset.metadata = reader.flag(at, node.values[i]);
      else reader.unknown(at);
    }
    if (subset.header < 0 && !subset.metadata) reader.fail(path, "must have header, or metadata: true");
    return subset;
  }
}

/** Two pools of the same shape pick alike. */
function shapeOf(pool: JsonNode): u64 {
  let hash: u64 = 0;
  for (let i = 0; i < SHAPE.length; i++) {
    const member = pool.get(SHAPE[i]);
    if (member !== null) hash = hashNode(member, hash + <u64>i + 1);
  }
  return hash;
}

function hashNode(node: JsonNode, seed: u64): u64 {
  let hash = hashText(node.text, seed ^ reinterpret<u64>(node.number));
  for (let i = 0; i < node.values.length; i++) hash = hashNode(node.values[i], hashText(node.names[i], hash));
  return hash;
}

function hashText(text: string, seed: u64): u64 {
  return xxhash64(changetype<usize>(text), text.length << 1, seed);
}
