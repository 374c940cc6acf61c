/** Reads `key` of a rule. */
import { JsonNode } from "../../lib/json-document";
import { ConfigReader } from "../config-reader";
import { TrafficConfig } from "../traffic-config";
import { Bytes, ByteWriter } from "../../sdk";
import { KeyPart, KeySource } from "./key-part";

const MAX_PARTS = 4;
const MAX_PATH = 8;

/** Where a client may have put its key, in this order. */
const KEY_HEADERS = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/** Dynamic metadata of a request, as the host's properties name it. */
const METADATA = "metadata\0filter_metadata";
const JWT_NAMESPACE = "envoy.filters.http.jwt_authn";
const JWT_PAYLOAD = "payload";
const CLIENT_ADDRESS = "source\0address";

const SOURCES = "header, apiKey, claim, metadata, clientAddress, model, tenant, session or constant";

const path = new ByteWriter();
/** The keys of a path, joined by dots. */
const dotted = new ByteWriter();

@final
export class KeyReader {
  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    /** Captured header that carries the tenant; -1 when the configuration names none. */
    private readonly tenantHeader: i32,
  ) {}

  readAll(at: string, node: JsonNode): KeyPart[] {
    const parts: KeyPart[] = [];
    const entries = this.reader.list(at, node, 0, MAX_PARTS);
    for (let i = 0; i < entries.length; i++) {
      const place = at + "[" + i.toString() + "]";
      if (!this.reader.isObject(place, entries[i])) continue;
      const part = this.read(place, entries[i]);
      if (part !== null) parts.push(part);
    }
    return parts;
  }

  private read(at: string, node: JsonNode): KeyPart | null {
    const ofClaim = node.get("claim") !== null;
    let part: KeyPart | null = null;
    let sources = 0;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const place = at + "." + name;
      // Read with the claim.
      if (name == "payloadKey" && ofClaim) continue;
      const source = this.source(place, name, value, node);
      if (source === null) {
        this.reader.unknown(place);
        continue;
      }
      part = source;
      sources++;
    }
    if (sources != 1) this.reader.fail(at, "must have one of " + SOURCES);
    return part;
  }

  /** Null for a name that is none. */
  private source(at: string, name: string, value: JsonNode, part: JsonNode): KeyPart | null {
    if (name == "header") return this.header(at, value);
    if (name == "claim") return this.claim(at, value, part.get("payloadKey"));
    if (name == "metadata") return this.metadata(at, value);
    if (name == "constant") return new KeyPart(KeySource.Constant, this.reader.plain(at, value), Bytes.literal("constant"));
    if (name == "apiKey") return this.given(at, value, this.apiKey());
    if (name == "clientAddress") return this.given(at, value, new KeyPart(KeySource.ClientAddress, Bytes.literal(CLIENT_ADDRESS), Bytes.literal("client_address")));
    if (name == "model") return this.given(at, value, plain(KeySource.Model, name));
    if (name == "session") return this.given(at, value, plain(KeySource.Session, name));
    return name == "tenant" ? this.given(at, value, this.tenant(at)) : null;
  }

  private given(at: string, value: JsonNode, part: KeyPart): KeyPart {
    if (!this.reader.flag(at, value)) this.reader.fail(at, "must be true, or not there");
    return part;
  }

  /** A header of requests, by name. */
  header(at: string, node: JsonNode): KeyPart {
    const name = this.reader.requestHeader(at, node);
    const part = new KeyPart(KeySource.Header, name, name);
    part.headers.push(this.traffic.wanted.want(name));
    return part;
  }

  /** The client's credential. */
  apiKey(): KeyPart {
    const part = plain(KeySource.ApiKey, "api_key");
    for (let i = 0; i < KEY_HEADERS.length; i++) part.headers.push(this.traffic.wanted.want(Bytes.literal(KEY_HEADERS[i])));
    return part;
  }

  private tenant(at: string): KeyPart {
    const part = plain(KeySource.Tenant, "tenant");
    if (this.tenantHeader < 0) this.reader.fail(at, "needs tenantHeader");
    part.headers.push(this.tenantHeader);
    return part;
  }

  private claim(at: string, value: JsonNode, payloadKey: JsonNode | null): KeyPart {
    const claim = this.reader.plain(at, value);
    const key = payloadKey === null ? Bytes.literal(JWT_PAYLOAD) : this.reader.plain(at.slice(0, at.length - 5) + "payloadKey", payloadKey);
    path.reset().text(METADATA).byte(0).text(JWT_NAMESPACE).byte(0).bytes(key).byte(0).bytes(claim);
    return new KeyPart(KeySource.Property, path.view().copy(), claim);
  }

  /** Dynamic metadata of requests. */
  metadata(at: string, node: JsonNode): KeyPart {
    const reader = this.reader;
    path.reset().text(METADATA);
    dotted.reset();
    if (reader.isObject(at, node)) {
      const namespace = node.get("namespace");
      if (namespace === null) reader.fail(at + ".namespace", "missing");
      else path.byte(0).bytes(reader.plain(at + ".namespace", namespace));
      const keys = node.get("path");
      if (keys === null) reader.fail(at + ".path", "missing");
      else this.keys(at + ".path", keys);
      for (let i = 0; i < node.names.length; i++) {
        const name = node.names[i];
        if (name != "namespace" && name != "path") reader.unknown(at + "." + name);
      }
    }
    return new KeyPart(KeySource.Property, path.view().copy(), dotted.view().copy());
  }

  private keys(at: string, node: JsonNode): void {
    const entries = this.reader.list(at, node, 1, MAX_PATH);
    for (let i = 0; i < entries.length; i++) {
      const key = this.reader.plain(at + "[" + i.toString() + "]", entries[i]);
      path.byte(0).bytes(key);
      if (i > 0) dotted.byte(0x2e);
      dotted.bytes(key);
    }
  }
}

/** A part whose source says all. */
function plain(source: KeySource, label: string): KeyPart {
  return new KeyPart(source, new Bytes(), Bytes.literal(label));
}
