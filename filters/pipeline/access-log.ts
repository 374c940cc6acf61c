/**
 * What access logs may say of an LLM call, as filter state: `%FILTER_STATE(wasm.llm:PLAIN)%` is one JSON object,
 *
 *   {"api":"openai.chat","model":"gpt-4o","target":"azure","served_model":"gpt-4o-2024-08-06","rule":"chat","input_tokens":12,"output_tokens":34,"cached_tokens":0}
 *
 * and with a cache of answers "cache":"hit" or another of its states. What is not known is left out. Nothing of prompts, answers or credentials is in it.
 */
import { apiName } from "../lib/llm-path";
import { Bytes, ByteWriter, property } from "../sdk";
import { Exchange } from "./exchange";

const STATE = Bytes.literal("llm");

@final
export class AccessLog {
  private readonly text: ByteWriter = new ByteWriter();

  release(): void {
    this.text.release();
  }

  /** Replaces what was said before. One hostcall. */
  write(exchange: Exchange): void {
    const text = this.text.reset().text('{"api":"').text(apiName(exchange.api)).text('","model":"');
    // A name that is cut, or not well-formed, is no UTF-8.
    if (exchange.modelBroken) text.jsonAscii(exchange.model);
    else text.jsonText(exchange.model);
    text.text('","target":"').jsonText(exchange.target);
    if (exchange.servedModel.len > 0) text.text('","served_model":"').jsonText(exchange.servedModel);
    if (exchange.rule.len > 0) text.text('","rule":"').bytes(exchange.rule);
    text.byte(0x22);
    this.count("input_tokens", exchange.usage.inputTotal);
    this.count("output_tokens", exchange.usage.outputTotal);
    this.count("cached_tokens", exchange.usage.cached);
    if (exchange.cache.length > 0) text.text(',"cache":"').text(exchange.cache).byte(0x22);
    property.set(STATE, text.byte(0x7d).view());
  }

  private count(name: string, value: i64): void {
    if (value >= 0) this.text.text(',"').text(name).text('":').decimal(value);
  }
}
