export interface Product {
  sku: string;
  name: string;
  category: string;
  /** List price in cents; an order may pay less. */
  price: number;
  /** The rating that people would give it if it came in time, 1 to 5. */
  quality: number;
}

/** Category: its SKUs' letters, then name, list price in euros and quality of each product. Brands are made up. */
const SHELVES: Record<string, [string, ...(readonly [string, number, number])[]]> = {
  laptops: [
    "LAP",
    ["Aubrac 13 laptop", 949, 4.5],
    ["Aubrac 15 Pro laptop", 1499, 4.6],
    ["Kestrel Air 14 laptop", 1199, 4.4],
    ["Kestrel Go 11 laptop", 429, 3.9],
    ["Lumen Studio 16 laptop", 1899, 4.7],
    ["Lumen School 12 laptop", 349, 4.1],
    ["Nordlicht 14 laptop", 699, 4.2],
  ],
  phones: [
    "PHO",
    ["Pica 5 phone", 249, 4.1],
    ["Pica 5 Max phone", 389, 4.3],
    ["Pica Mini phone", 189, 3.9],
    ["Orla One phone", 599, 4.5],
    ["Orla One Plus phone", 799, 4.6],
    ["Tern Fold phone", 1299, 4.2],
    ["Tern Classic phone", 79, 4.0],
  ],
  tablets: [
    "TAB",
    ["Slate 8 tablet", 159, 4.0],
    ["Slate 11 tablet", 329, 4.3],
    ["Slate 13 Pen tablet", 649, 4.5],
    ["Quire reader", 119, 4.6],
  ],
  headphones: [
    "HEA",
    ["Drift wireless earbuds", 79, 4.2],
    ["Drift Pro wireless earbuds", 149, 4.4],
    ["Drift Sport earbuds", 99, 4.1],
    ["Hush over-ear headphones", 199, 4.5],
    ["Hush Max over-ear headphones", 329, 4.6],
    ["Hush Travel headphones", 129, 4.3],
    ["Rill wired earphones", 19.9, 4.0],
    ["Rill Studio headphones", 169, 4.4],
    ["Pip children's headphones", 34.9, 4.3],
  ],
  speakers: [
    "SPE",
    ["Pebble bluetooth speaker", 59, 4.3],
    ["Boulder party speaker", 179, 4.2],
    ["Ledge soundbar", 249, 4.3],
    ["Ledge soundbar with subwoofer", 449, 4.5],
    ["Chime kitchen radio", 109, 4.2],
  ],
  wearables: [
    "WEA",
    ["Tempo fitness band", 49, 4.0],
    ["Tempo watch", 139, 4.2],
    ["Tempo watch LTE", 239, 4.3],
    ["Meridian GPS watch", 399, 4.6],
  ],
  cameras: [
    "CAM",
    ["Iris compact camera", 289, 4.3],
    ["Iris mirrorless camera", 879, 4.6],
    ["Nib action camera", 219, 4.1],
    ["Perch webcam", 69, 4.1],
  ],
  monitors: [
    "MON",
    ["Vista 24 monitor", 129, 4.3],
    ["Vista 27 monitor", 219, 4.4],
    ["Vista 27 QHD monitor", 299, 4.5],
    ["Vista 32 4K monitor", 479, 4.5],
  ],
  desk: [
    "DSK",
    ["Clack mechanical keyboard", 119, 4.5],
    ["Clack compact keyboard", 89, 4.4],
    ["Hush keyboard", 49, 4.1],
    ["Vole mouse", 24.9, 4.2],
    ["Vole ergonomic mouse", 64.9, 4.4],
    ["Trestle laptop stand", 39.9, 4.3],
  ],
  storage: [
    "STO",
    ["Silo 1 TB portable drive", 84.9, 4.4],
    ["Silo 2 TB portable drive", 139, 4.4],
    ["Silo 4 TB network drive", 269, 4.2],
    ["Grain 128 GB memory card", 17.9, 4.3],
    ["Grain 256 GB USB stick", 29.9, 4.2],
  ],
  home: [
    "HOM",
    ["Sill indoor camera", 54.9, 3.8],
    ["Sill doorbell", 109, 3.7],
    ["Glow bulbs, set of 3", 44.9, 4.3],
    ["Draught thermostat", 159, 3.1],
    ["Plug energy meter", 22.9, 4.2],
  ],
  charging: [
    "CHA",
    ["Braid USB-C cable", 12.9, 4.4],
    ["Braid USB-C cable, 2 m", 16.9, 4.4],
    ["Ember 30 W charger", 27.9, 4.4],
    ["Ember 65 W charger", 49.9, 4.5],
    ["Ember power bank", 42.9, 4.2],
    ["Ember travel power bank", 74.9, 4.3],
  ],
};

export const CATALOGUE: readonly Product[] = Object.entries(SHELVES).flatMap(([category, [letters, ...products]]) =>
  products.map(([name, euros, quality], index) => ({
    sku: `${letters}-${String(index + 1).padStart(3, "0")}`,
    name,
    category,
    price: Math.round(euros * 100),
    quality,
  })),
);

const BY_PRICE = [...CATALOGUE].sort((a, b) => a.price - b.price);

/**
 * The products that may have been sold for `cents` apiece: list price at most a quarter above what was paid. Where there
 * is none, the cheapest that costs more (a larger discount), and above the dearest product that one.
 */
export function productsNear(cents: number): Product[] {
  const near = BY_PRICE.filter((product) => product.price >= cents && product.price <= cents * 1.25);
  if (near.length > 0) return near;
  return [BY_PRICE.find((product) => product.price >= cents) ?? (BY_PRICE.at(-1) as Product)];
}
