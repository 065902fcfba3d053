import { createRequire } from "node:module";
import type { Model, WinkMethods } from "wink-nlp";

/** Longer texts are judged by their beginning. */
const MOST_CHARACTERS = 5_000;

/** The library's time grows with the square of a word's length, so longer ones are cut: half a second becomes 20 ms. */
const LONG_WORD = /\S{64}(?=\S)/g;

/** From this many words on, a share of function words tells English from other languages. */
const TELLING_WORDS = 4;
/** Of 1,999 English review sentences 98% have more; of French, German, Dutch and Spanish ones 6%. */
const ENGLISH_SHARE = 0.15;

let library: WinkMethods | undefined;

/** Loaded on first use: the model costs a sixth of a second, which most commands need not spend. */
function load(): WinkMethods {
  const require = createRequire(import.meta.url);
  const winkNlp = require("wink-nlp") as (model: Model, pipe: string[]) => WinkMethods;
  return winkNlp(require("wink-eng-lite-web-model") as Model, ["sbd", "negation", "sentiment"]);
}

/**
 * The mood of an English text, from -1 (worst) to 1 (best), 0 where no word carries any. Null where the text does not
 * read as English: 0 would say of it that it is neutral. On review sentences labelled by people, a text counts as
 * liked above 0 with an accuracy of 0.86 (mobile phones) and 0.81 (restaurants).
 */
export function sentiment(text: string): number | null {
  library ??= load();
  const { its } = library;
  const document = library.readDoc(text.slice(0, MOST_CHARACTERS).replace(LONG_WORD, "$& "));
  const words = document.tokens().filter((token) => token.out(its.type) === "word");
  const functionWords = words.filter((token) => token.out(its.stopWordFlag) === true);
  const score = Number(document.out(its.sentiment));
  if (functionWords.length() === 0 && score === 0) return null;
  if (words.length() >= TELLING_WORDS && functionWords.length() < ENGLISH_SHARE * words.length()) return null;
  return Math.min(1, Math.max(-1, Math.round(score * 10_000) / 10_000));
}
