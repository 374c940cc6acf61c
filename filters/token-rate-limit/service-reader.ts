/** Reads `service`: the Rate Limit Service that keeps the budgets of rules with mode strict or leased. */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { RateLimitService } from "./remote-service";

const PROTOCOLS = ["ledger", "envoy"];
const MOST_MS = 10_000;

export function readService(reader: ConfigReader, path: string, node: JsonNode): RateLimitService {
  const service = new RateLimitService();
  if (!reader.isObject(path, node)) return service;
  for (let i = 0; i < node.names.length; i++) {
    const name = node.names[i];
    const value = node.values[i];
    const at = path + "." + name;
    if (name == "cluster") service.cluster = reader.plain(at, value);
    else if (name == "domain") service.domain = reader.plain(at, value);
    else if (name == "protocol") service.ledger = reader.oneOf(at, value, PROTOCOLS) <= 0;
    else if (name == "timeoutMs") service.timeoutMs = reader.integer(at, value, 1, MOST_MS);
    else if (name == "override") service.overrides = reader.flag(at, value);
    else if (name == "refunds") service.refunds = reader.flag(at, value);
    else reader.unknown(at);
  }
  if (node.get("cluster") === null) reader.fail(path + ".cluster", "missing");
  if (node.get("refunds") !== null && service.ledger) reader.fail(path + ".refunds", "needs protocol envoy");
  return service;
}
