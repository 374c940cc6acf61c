/** What the tokens of each model cost. Made from the configuration, never changed. */
import { TokenRates } from "../../lib/token-charge";
import { Bytes } from "../../sdk";

/** Price of a model, or of all models whose names begin so. */
@final
export class Price {
  constructor(
    /** Model pattern as configured, without a trailing `*`. */
    readonly model: Bytes,
    readonly prefix: bool,
    /** 1e-6 US dollar per 1e6 tokens. */
    readonly rates: TokenRates,
  ) {}
}

@final
export class PriceList {
  /** Of each class of tokens the highest price of the list. */
  readonly dearest: TokenRates = new TokenRates(0, 0, 0, 0, 0);
  private readonly exact: Price[] = [];
  /** Longest first: the first that matches is the answer. */
  private readonly prefixes: Price[] = [];

  /** False when the pattern is in the list already. */
  add(price: Price): bool {
    const list = price.prefix ? this.prefixes : this.exact;
    for (let i = 0; i < list.length; i++) if (list[i].model.equals(price.model)) return false;
    list.push(price);
    for (let i = list.length - 1; price.prefix && i > 0 && list[i - 1].model.len < price.model.len; i--) {
      list[i] = list[i - 1];
      list[i - 1] = price;
    }
    this.dearest.raiseTo(price.rates);
    return true;
  }

  /**
   * The price of a model: its own, else that of the longest prefix; null when there is none, and then `dearest` is what it costs, for nothing must be
   * free by mistake. O(prices).
   */
  find(model: Bytes): TokenRates | null {
    for (let i = 0; i < this.exact.length; i++) {
      const price = unchecked(this.exact[i]);
      if (model.equals(price.model)) return price.rates;
    }
    for (let i = 0; i < this.prefixes.length; i++) {
      const price = unchecked(this.prefixes[i]);
      if (model.startsWith(price.model)) return price.rates;
    }
    return null;
  }
}
