import { DAY_MS, formatInstant } from "./calendar.ts";
import type { Product } from "./catalogue.ts";
import { deliveryDays, type Order } from "./orders.ts";
import { typeEmail, type Person } from "./people.ts";
import type { Random } from "./random.ts";
import { SENTENCES, type Mood } from "./sentences.ts";

/** A line of the review tool's export. */
export interface Review {
  review_id: string;
  order_id: number;
  sku: string;
  reviewer_name: string;
  email: string;
  rating: number;
  language: string;
  title: string;
  text: string;
  reviewed_at: string;
}

/** From the fourth day on, every day of waiting costs so many stars: what the demo's drivers of satisfaction must find. */
const STARS_PER_LATE_DAY = 0.28;
const REVIEWED_SHARE = 0.23;
const REVIEWED_SHARE_WHEN_LATE = 0.7;

/** Reviews of delivered orders by people who have an address, half a day to four days after the parcel came. */
export function makeReviews(orders: Order[], { now, random }: { now: number; random: Random }): Review[] {
  const reviews: { at: number; review: Omit<Review, "review_id"> }[] = [];
  for (const order of orders) {
    const days = deliveryDays(order);
    const email = emailOf(order.person, random);
    if (days === null || !email || !random.chance(order.isLate ? REVIEWED_SHARE_WHEN_LATE : REVIEWED_SHARE)) continue;
    const at = (order.deliveredAt ?? 0) + Math.round((random.between(0.5, 4) * DAY_MS) / 1000) * 1000;
    if (at >= now) continue;
    const product = random.pick(order.lines).product;
    const rating = rate(product, days, random);
    const { person } = order;
    reviews.push({
      at,
      review: {
        order_id: order.id,
        sku: product.sku,
        reviewer_name: random.chance(0.5) ? person.given : `${person.given} ${person.family[0]}.`,
        email: typeEmail(email, random),
        rating,
        language: person.language,
        ...write(person, product, rating, days, random),
        reviewed_at: formatInstant(at),
      },
    });
  }
  reviews.sort((a, b) => a.at - b.at || a.review.order_id - b.review.order_id);
  return reviews.map(({ review }, index) => ({ review_id: `r-${String(index + 1).padStart(5, "0")}`, ...review }));
}

/** The account's address, or every third time the second one, if its owner has used it for more than the newsletter. */
function emailOf(person: Person, random: Random): string | undefined {
  const [account, second] = person.emails;
  return person.secondAddress === "checkout" && random.chance(1 / 3) ? second : account;
}

function rate(product: Product, days: number, random: Random): number {
  const stars = product.quality - STARS_PER_LATE_DAY * Math.max(0, days - 3) + 0.7 * random.normal();
  return Math.min(5, Math.max(1, Math.round(stars)));
}

/** Title and text in the reviewer's language. One in a hundred leaves a way to be reached in the text. */
function write(
  person: Person,
  product: Product,
  rating: number,
  days: number,
  random: Random,
): { title: string; text: string } {
  const sentences = SENTENCES[person.language];
  const mood: Mood = rating >= 4 ? "good" : rating === 3 ? "mixed" : "bad";
  const isLate = days >= 7;
  // Who is cross about the parcel mostly finds the product itself all right.
  const productMood = isLate && mood === "bad" && random.chance(0.7) ? "mixed" : mood;
  const parts = [random.pick(sentences.product[productMood])];
  if (isLate) parts.unshift(random.pick(sentences.late));
  else if (mood === "good" && random.chance(0.4)) parts.push(random.pick(sentences.fast));
  if (random.chance(0.5)) parts.push(random.pick(sentences.closing[mood]));
  if (random.chance(0.01)) parts.push(person.phones[0] ?? person.emails[0] ?? "");
  const text = parts
    .join(" ")
    .replaceAll("{product}", product.name)
    .replaceAll("{days}", String(Math.round(days)));
  return { title: random.pick(sentences.title[mood]), text: text.trim() };
}
