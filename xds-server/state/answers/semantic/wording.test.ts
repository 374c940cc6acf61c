import { describe, expect, it } from "vitest";
import { agree, wordingOf } from "./wording.ts";

/** What one answer may suit, by the words alone. */

const alike = (one: string, other: string) => {
  const [first, second] = [wordingOf(one), wordingOf(other)];
  expect(agree(first, second)).toBe(agree(second, first));
  return agree(first, second);
};

describe("two questions agree", () => {
  it.each([
    ["what's the capital of FRANCE", "What is the capital of France?", "case, contractions, punctuation"],
    ["How do I cancel?", "Hi, could you please tell me how to cancel? Thanks!", "words that may come and go"],
    ["What causes inflation?", "What are the causes of inflation?", "plurals"],
    ["Is the city open", "Are the cities open", "other plurals"],
    ["Which box is it?", "Which boxes are those?", "and others"],
    ["Who wrote it", "Whom wrote it", "whom"],
    ["Can't I pay?", "Can not I pay", "a contracted not"],
    ["You cannot pay", "You can’t pay", "and others"],
    ["ﬁnd the oﬃce", "find the office", "letters that only look different"],
    ["reverse a list", "the way to reverse a list", "words more on one side"],
    ["", "the", "nothing that counts"],
    ["Wie spät ist es?", "wie spät ist es", "another language, spelled alike"],
  ])("%s | %s: %s", (one, other) => {
    expect(alike(one, other)).toBe(true);
  });

  it.each([
    ["in 2025", "in 2026", "numbers"],
    ["version 3.11", "version 31.1", "the same digits parted otherwise"],
    ["7 times 8", "8 times 7", "numbers in another order"],
    ["item 1", "item", "a number too few"],
    ["٣ items", "٤ items", "numbers in other digits"],
    ["from Berlin to London", "from London to Berlin", "the order of names"],
    ["safe drugs", "not safe drugs", "a not"],
    ["can I pay", "can't I pay", "a contracted not"],
    ["with nuts", "without nuts", "with and without"],
    ["it works", "why it works", "a why"],
    ["who is king", "who was king", "the time"],
    ["enable it", "disable it", "a word replaced"],
    ["a list in C", "a list in C++", "symbols"],
    ["10 %", "10 €", "other symbols"],
    ["is 5 natural", "is -5 natural", "a sign"],
    ["at 9 am", "at 9 pm", "a word that only looks as if it may go"],
    ["東京の天気", "大阪の天気", "words without spaces"],
  ])("%s | %s: not with other %s", (one, other) => {
    expect(alike(one, other)).toBe(false);
  });

  it("takes time that grows with the text alone", () => {
    const long = "a1'n’t-% ".repeat(900);
    const began = performance.now();
    expect(alike(long, long)).toBe(true);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
