/**
 * What a configuration with rules means for a request, written from the table of fields and not from the filter: slow, plain, on parsed JSON.
 * filters/llm-router is compared with it.
 */
import type { Api } from "../lib/chat-request-driver.ts";
import { type Expected, reference } from "../lib/chat-request-reference.ts";
import type { Headers } from "./router-driver.ts";

export interface Match {
  models?: string[];
  provider?: string;
  apis?: string[];
  paths?: string[];
  headers?: { name: string; exact?: string; prefix?: string; present?: boolean }[];
  tenants?: string[];
  promptTokens?: { atLeast?: number; below?: number };
  stream?: boolean;
  tools?: boolean;
  images?: boolean;
  session?: boolean;
  lastUserMessage?: string;
}

export interface Rules {
  tenantHeader?: string;
  tokensPerByte?: number;
  rules: { name: string; match?: Match }[];
  models: { model: string; route: string; upstreamModel?: string }[];
}

export interface Asked {
  path: string;
  headers: Headers;
  body: Record<string, unknown>;
}

export type Decision =
  | { rule: string; model: string; upstreamModel: string }
  | { route: string; model: string; upstreamModel: string }
  | { refusal: "model_required" | "model_not_found" };

const apis: [suffix: string, name: string, reader: Api][] = [
  ["/chat/completions", "openai.chat", "chat"],
  ["/completions", "openai.completions", "completions"],
  ["/responses", "openai.responses", "responses"],
  ["/embeddings", "openai.embeddings", "embeddings"],
  ["/messages", "anthropic.messages", "anthropic"],
  ["/messages/count_tokens", "anthropic.messages", "anthropic"],
  [":generateContent", "gemini.generate", "gemini"],
  [":streamGenerateContent", "gemini.generate", "gemini"],
  ["", "openai.other", "chat"],
];

const matchesName = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

const nonEmpty = (value: unknown): boolean => typeof value === "string" && value !== "";

interface Facts {
  api: string;
  path: string;
  model: string;
  stream: boolean;
  header(name: string): string | undefined;
  chat: Expected;
}

function factsOf({ path: target, headers, body }: Asked): Facts {
  const path = target.replace(/\?.*$/s, "");
  const [, api, reader] = apis.find(([suffix]) => path.endsWith(suffix)) ?? ["", "", "chat"];
  const gemini = reader === "gemini";
  const segment = /\/models\/([^:]*):/.exec(path)?.[1] ?? "";
  const named = gemini ? decodeURIComponent(segment) : body.model;
  return {
    api,
    path,
    model: typeof named === "string" ? named : "",
    stream: gemini ? path.endsWith(":streamGenerateContent") : body.stream === true,
    header(name) {
      const values = headers.filter(([other]) => other === name).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(",");
    },
    chat: reference(reader, body),
  };
}

/** The name that `models` is matched against, and that the upstream gets by default; undefined when the provider is another one. */
function ownName(match: Match, model: string): string | undefined {
  if (match.provider === undefined) return model;
  const rest = model.startsWith(`${match.provider}/`) ? model.slice(match.provider.length + 1) : "";
  return rest === "" ? undefined : rest;
}

/** Of many parts the first and the last four. */
function userText({ userText: texts }: Expected): string {
  return (texts.length > 8 ? [...texts.slice(0, 4), ...texts.slice(-4)] : texts).join("\n");
}

function holds(match: Match, facts: Facts, config: Rules): boolean {
  const { chat } = facts;
  const name = ownName(match, facts.model);
  const { values } = chat;
  const session = [values.session_id, values.prompt_cache_key, values.user_id, values.safety_identifier, values.user];
  const tokens = Math.ceil(chat.promptBytes * (config.tokensPerByte ?? 0.25));
  const asked: boolean[] = [
    name !== undefined,
    match.models?.some((pattern) => matchesName(pattern, name ?? "")) ?? true,
    match.apis?.includes(facts.api) ?? true,
    match.paths?.some((prefix) => facts.path.startsWith(prefix)) ?? true,
    match.headers?.every((wanted) => {
      const value = facts.header(wanted.name);
      if (wanted.present !== undefined) return (value !== undefined) === wanted.present;
      return wanted.exact === undefined ? value?.startsWith(wanted.prefix ?? "") === true : value === wanted.exact;
    }) ?? true,
    match.tenants?.includes(facts.header(config.tenantHeader ?? "") ?? "") ?? true,
    (match.promptTokens?.atLeast ?? 0) <= tokens,
    tokens < (match.promptTokens?.below ?? Number.POSITIVE_INFINITY),
    match.stream === undefined || match.stream === facts.stream,
    match.tools === undefined || match.tools === chat.tools > 0,
    match.images === undefined || match.images === chat.images > 0,
    match.session === undefined || match.session === session.some(nonEmpty),
    match.lastUserMessage === undefined ||
      (chat.userText.length > 0 && new RegExp(match.lastUserMessage).test(userText(chat))),
  ];
  return asked.every(Boolean);
}

export function decide(config: Rules, asked: Asked): Decision {
  const facts = factsOf(asked);
  const { model } = facts;
  if (model === "") return { refusal: "model_required" };
  const rule = config.rules.find(({ match = {} }) => holds(match, facts, config));
  if (rule) return { rule: rule.name, model, upstreamModel: ownName(rule.match ?? {}, model) ?? model };
  const length = (pattern: string) => (pattern.endsWith("*") ? pattern.length - 1 : Number.POSITIVE_INFINITY);
  const [entry] = config.models
    .filter((one) => matchesName(one.model, model))
    .sort((a, b) => length(b.model) - length(a.model));
  if (!entry) return { refusal: "model_not_found" };
  return { route: entry.route, model, upstreamModel: entry.upstreamModel ?? model };
}
