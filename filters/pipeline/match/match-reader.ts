/** Reads the conditions of a rule. */
import { JsonNode } from "../../lib/json-document";
import { apiName } from "../../lib/llm-path";
import { Api } from "../../lib/llm-api";
import { Pattern } from "../../lib/pattern";
import { ConfigReader } from "../config-reader";
import { TrafficConfig } from "../traffic-config";
import { Bytes } from "../../sdk";
import { HeaderMatch, HeaderTest, Match, NameMatch, Wanted } from "./match";

const MAX_NAMES = 64;
const MAX_PATHS = 32;
const MAX_HEADERS = 16;
const MAX_TOKENS = 100_000_000;
const MAX_PATTERN = 512;

@final
export class MatchReader {
  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    private readonly tenantHeader: i32,
  ) {}

  read(path: string, node: JsonNode): Match {
    const match = new Match();
    match.tenantHeader = this.tenantHeader;
    match.tokensPerByte = this.traffic.tokensPerByte;
    const reader = this.reader;
    if (!reader.isObject(path, node)) return match;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "models") this.models(at, value, match);
      else if (name == "provider") match.provider = reader.identifier(at, value);
      else if (name == "apis") match.apis = this.apis(at, value);
      else if (name == "paths") this.paths(at, value, match);
      else if (name == "headers") this.headers(at, value, match);
      else if (name == "tenants") this.tenants(at, value, match);
      else if (name == "promptTokens") this.tokens(at, value, match);
      else if (name == "stream") match.stream = this.wanted(at, value);
      else if (name == "tools") match.tools = this.wanted(at, value);
      else if (name == "images") match.images = this.wanted(at, value);
      else if (name == "session") match.session = this.wanted(at, value);
      else if (name == "lastUserMessage") match.lastUserMessage = this.pattern(at, value);
      else reader.unknown(at);
    }
    return match;
  }

  private wanted(path: string, node: JsonNode): Wanted {
    return this.reader.flag(path, node) ? Wanted.True : Wanted.False;
  }

  private models(path: string, node: JsonNode, match: Match): void {
    const entries = this.reader.list(path, node, 1, MAX_NAMES);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      const name = this.reader.plain(at, entries[i]);
      const prefix = name.len > 0 && name.at(name.len - 1) == 0x2a;
      if (prefix) name.len--;
      if (name.indexOf(0x2a) >= 0) this.reader.fail(at, "'*' may stand only at the end");
      match.models.push(new NameMatch(name, prefix));
    }
  }

  private apis(path: string, node: JsonNode): u32 {
    const names: string[] = [];
    for (let api = 0; api <= Api.Other; api++) names.push(apiName(api));
    const entries = this.reader.list(path, node, 1, names.length);
    let bits: u32 = 0;
    for (let i = 0; i < entries.length; i++) {
      const api = this.reader.oneOf(path + "[" + i.toString() + "]", entries[i], names);
      if (api >= 0) bits |= 1 << (<u32>api);
    }
    return bits;
  }

  private paths(path: string, node: JsonNode, match: Match): void {
    const entries = this.reader.list(path, node, 1, MAX_PATHS);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      const prefix = this.reader.visible(at, entries[i]);
      if (prefix.len > 0 && prefix.at(0) != 0x2f) this.reader.fail(at, "must begin with '/'");
      match.paths.push(prefix);
    }
  }

  private headers(path: string, node: JsonNode, match: Match): void {
    const entries = this.reader.list(path, node, 1, MAX_HEADERS);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (this.reader.isObject(at, entries[i])) this.header(at, entries[i], match);
    }
  }

  private header(path: string, node: JsonNode, match: Match): void {
    const reader = this.reader;
    let name = new Bytes();
    let value = new Bytes();
    let test = HeaderTest.Present;
    let tests = 0;
    for (let i = 0; i < node.names.length; i++) {
      const field = node.names[i];
      const given = node.values[i];
      const at = path + "." + field;
      if (field == "name") {
        name = reader.requestHeader(at, given);
      } else if (field == "exact" || field == "prefix") {
        tests++;
        test = field == "exact" ? HeaderTest.Exact : HeaderTest.Prefix;
        value = reader.headerValue(at, given);
      } else if (field == "present") {
        tests++;
        test = reader.flag(at, given) ? HeaderTest.Present : HeaderTest.Missing;
      } else {
        reader.unknown(at);
      }
    }
    if (node.get("name") === null) reader.fail(path + ".name", "missing");
    if (tests != 1) reader.fail(path, "must have exact, prefix or present, one of them");
    match.headers.push(new HeaderMatch(this.traffic.wanted.want(name), test, value));
  }

  private tenants(path: string, node: JsonNode, match: Match): void {
    const entries = this.reader.list(path, node, 1, MAX_NAMES);
    for (let i = 0; i < entries.length; i++) match.tenants.push(this.reader.plain(path + "[" + i.toString() + "]", entries[i]));
    if (this.tenantHeader < 0) this.reader.fail(path, "needs tenantHeader");
  }

  private tokens(path: string, node: JsonNode, match: Match): void {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "atLeast") match.atLeast = reader.integer(at, node.values[i], 0, MAX_TOKENS);
      else if (name == "below") match.below = reader.integer(at, node.values[i], 1, MAX_TOKENS);
      else reader.unknown(at);
    }
    if (node.get("atLeast") === null && node.get("below") === null) reader.fail(path, "must have atLeast or below");
    if (match.below > 0 && match.atLeast >= match.below) reader.fail(path, "atLeast must be less than below");
  }

  private pattern(path: string, node: JsonNode): Pattern | null {
    const text = this.reader.text(path, node, MAX_PATTERN);
    const pattern = Pattern.compile(text.ptr, text.len);
    if (pattern === null && text.len > 0) this.reader.fail(path, Pattern.fault);
    return pattern;
  }
}
