/** Reads `targets`: name -> where a request may go. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { Bytes, ByteWriter, environment } from "../sdk";
import { Credential, Target } from "./target";

const MAX_TARGETS = 256;
const MAX_SECRET = 4096;

const text = new ByteWriter();

@final
export class TargetTable {
  readonly targets: Target[] = [];

  constructor(
    private readonly reader: ConfigReader,
    private readonly at: string,
  ) {}

  readAll(node: JsonNode): void {
    const path = this.at + "targets";
    if (!this.reader.isObject(path, node)) return;
    if (node.names.length < 1 || node.names.length > MAX_TARGETS) this.reader.fail(path, "must have 1 to 256 members");
    for (let i = 0; i < node.names.length; i++) {
      const name = new JsonNode(NodeKind.String);
      name.text = node.names[i];
      const at = path + "." + name.text;
      const target = new Target(this.reader.identifier(at, name));
      if (this.reader.isObject(at, node.values[i])) this.read(at, node.values[i], target);
      this.targets.push(target);
    }
  }

  /** The target that the text names; a fault and an empty one when there is none. */
  find(path: string, node: JsonNode): Target {
    const name = this.reader.text(path, node, 64);
    for (let i = 0; i < this.targets.length; i++) if (this.targets[i].name.equals(name)) return this.targets[i];
    if (name.len > 0) this.reader.fail(path, "no target of that name in targets");
    return new Target(name);
  }

  private read(path: string, node: JsonNode, target: Target): void {
    const reader = this.reader;
    let places = 0;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "route" || name == "cluster") {
        places++;
        target.byCluster = name == "cluster";
        target.value = reader.visible(at, value);
        if (target.value.indexOf(0x2b) >= 0) reader.fail(at, "must not contain '+', which joins the members of a pool");
      } else if (name == "upstreamModel") target.upstreamModel = reader.plain(at, value);
      else if (name == "host") target.host = reader.visible(at, value, 255);
      else if (name == "pathPrefix") this.prefix(at, value, target);
      else if (name == "credential") target.credential = this.credential(at, value);
      else reader.unknown(at);
    }
    if (places != 1) reader.fail(path, "must have route or cluster, one of both");
  }

  private prefix(path: string, node: JsonNode, target: Target): void {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return;
    target.rewritesPath = true;
    let given = false;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name != "from" && name != "to") {
        reader.unknown(at);
        continue;
      }
      const value = reader.visible(at, node.values[i]);
      if (value.len > 0 && value.at(0) != 0x2f) reader.fail(at, "must begin with '/'");
      if (value.indexOf(0x3f) >= 0 || value.indexOf(0x23) >= 0) reader.fail(at, "must be a path without query or fragment");
      // `/a/` and `/a` mean the same; the root is empty, so that the slash behind the prefix is always the path's own.
      while (value.len > 0 && value.at(value.len - 1) == 0x2f) value.len--;
      if (name == "from") target.pathFrom = value;
      else target.pathTo = value;
      given = given || name == "to";
    }
    if (!given) reader.fail(path + ".to", "missing");
  }

  private credential(path: string, node: JsonNode): Credential | null {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return null;
    let header = Bytes.literal("authorization");
    let prefix: Bytes | null = null;
    let secret: Bytes | null = null;
    let sources = 0;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "header") header = reader.headerName(at, value);
      else if (name == "prefix") {
        // An empty prefix is meant.
        prefix = value.kind == NodeKind.String && value.text.length == 0 ? new Bytes() : reader.headerValue(at, value, 64);
      } else if (name == "value") {
        sources++;
        secret = reader.visible(at, value, MAX_SECRET);
      } else if (name == "env") {
        sources++;
        secret = this.fromEnvironment(at, value);
      } else reader.unknown(at);
    }
    if (sources != 1) reader.fail(path, "must have env or value, one of both");
    if (prefix === null) prefix = Bytes.literal(header.equals(Bytes.literal("authorization")) ? "Bearer " : "");
    if (secret === null) return null;
    return new Credential(header, text.reset().bytes(prefix).bytes(secret).view().copy());
  }

  private fromEnvironment(path: string, node: JsonNode): Bytes | null {
    const name = this.reader.text(path, node, 128);
    for (let i = 0; i < name.len; i++) {
      const byte = name.at(i);
      if ((byte | 0x20) - 97 < 26 || byte == 0x5f || (i > 0 && byte - 48 < 10)) continue;
      this.reader.fail(path, "must be the name of an environment variable");
      return null;
    }
    const value = name.len > 0 ? environment.get(name) : null;
    if (value === null || value.len == 0) {
      this.reader.fail(path, "is not set in the VM; list it in vm_config.environment_variables.host_env_keys and set it for Envoy");
      return null;
    }
    for (let i = 0; i < value.len; i++) {
      if (value.at(i) - 0x21 < 0x5e) continue;
      this.reader.fail(path, "its value must be visible ASCII");
      return null;
    }
    return value;
  }
}
