/** Given names, family names, towns and streets of the demo's people, by the country they live in. All combinations are made up. */

export type Country = "FR" | "GB" | "DE" | "BE";
export type Language = "en" | "fr" | "de";

export interface Locale {
  language: Language;
  given: readonly string[];
  family: readonly string[];
  streets: readonly string[];
  /** Town and the part of its postal code that never varies. */
  towns: readonly (readonly [string, string])[];
  mailDomains: readonly string[];
}

const words = (text: string): string[] => text.trim().split(/\s+/);

const FRENCH: Locale = {
  language: "fr",
  given: words(`Adèle Agathe Alice Amélie Anaïs Antoine Arthur Aurélie Baptiste Benoît Camille Cécile Chloé Claire
    Clément Damien Delphine Élise Éloïse Émile Fabien Florence Gabriel Gaëlle Guillaume Hélène Hugo Inès Jérôme
    Juliette Laurent Léa Léon Louise Lucas Manon Margaux Mathieu Maxime Noémie Océane Paul Pauline Quentin Raphaël
    Romain Sabine Simon Sophie Théo Thibault Valérie Victor Yann Zoé`),
  family: words(`Allard Aubert Barbier Baron Bertin Besson Blanchard Bonnet Bouvier Brunet Carpentier Chevalier
    Colin Cordier Delmas Descamps Dubois Ducros Dumont Fabre Faure Ferrand Fontaine Fournier Gaillard Garnier
    Gauthier Girard Grandjean Guérin Hamon Jacquet Joubert Lacroix Lambert Laporte Leclerc Lemaire Lenoir Loiseau
    Maillard Marchand Masson Mercier Meunier Moreau Noël Olivier Pasquier Pelletier Perrin Poirier Prévost Renard
    Rivière Rousseau Sabatier Tessier Vasseur Vidal`),
  streets: [
    "rue des Tilleuls",
    "avenue du Stade",
    "rue de la Fontaine",
    "chemin des Vignes",
    "place du Marché",
    "rue des Écoles",
  ],
  towns: [
    ["Lyon", "6900"],
    ["Nantes", "4400"],
    ["Rennes", "3500"],
    ["Lille", "5900"],
    ["Toulouse", "3100"],
    ["Dijon", "2100"],
  ],
  mailDomains: ["courrier.example", "boite.example", "mail.example", "poste-libre.test"],
};

const BRITISH: Locale = {
  language: "en",
  given: words(`Abigail Adam Alice Amelia Andrew Beth Callum Charlotte Chloe Daniel Daisy Edward Eleanor Ella Emily
    Ethan Fiona Freya George Grace Hannah Harriet Harry Imogen Isaac Isla Jack James Jessica Joseph Katie Laura Leo
    Liam Lucy Martha Matthew Megan Molly Nathan Niamh Oliver Olivia Oscar Phoebe Poppy Rebecca Rhys Rosie Ryan
    Samuel Sophie Thomas Toby William Zara`),
  family: words(`Abbott Armstrong Atkins Barker Barnes Bennett Bishop Bradley Brooks Burgess Carter Chapman Clarke
    Collins Cooper Davies Dawson Dixon Ellis Evans Fletcher Foster Gibson Graham Griffiths Hamilton Harding Harper
    Hewitt Holmes Hughes Jenkins Kelly Knight Lawson Marsh Mason Matthews Mills Murphy Newton Nicholls Osborne Palmer
    Parker Parsons Porter Powell Reynolds Richards Sharpe Simpson Spencer Stevens Sutton Turner Walsh Watts Webb
    Wilkins`),
  streets: ["Mill Lane", "Station Road", "Church Street", "Orchard Close", "Victoria Road", "Park Avenue"],
  towns: [
    ["Leeds", "LS"],
    ["Bristol", "BS"],
    ["Norwich", "NR"],
    ["Cardiff", "CF"],
    ["York", "YO"],
    ["Exeter", "EX"],
  ],
  mailDomains: ["mail.example", "inbox.example", "letterbox.test", "post.example"],
};

const GERMAN: Locale = {
  language: "de",
  given: words(`Anja Anke Annika Bastian Birgit Carsten Christian Clara Daniela Dennis Elena Emma Felix Florian
    Franziska Frieda Greta Hannes Heike Henrik Ida Jan Jana Jonas Jörg Jürgen Karin Katharina Klara Lars Lena Leonie
    Lina Lukas Marie Markus Matthias Mia Moritz Nele Niklas Nora Paula Philipp Ralf Sabrina Sebastian Silke Stefan
    Svenja Theresa Tim Tobias Ulrike Uwe Vera Wiebke`),
  family: words(`Albrecht Arnold Bauer Becker Berger Böhm Brandt Braun Busch Dietrich Engel Fischer Franke Friedrich
    Fuchs Graf Groß Günther Haas Hahn Hartmann Heinrich Herrmann Hofmann Horn Jäger Jung Kaiser Keller Köhler König
    Krämer Krause Krüger Kuhn Lang Lehmann Lorenz Maier Martin Möller Neumann Otto Pohl Richter Roth Sauer Schäfer
    Schreiber Schubert Schulte Seidel Simon Sommer Stein Thomas Vogel Vogt Weber Winkler Ziegler`),
  streets: ["Lindenstraße", "Bahnhofstraße", "Gartenweg", "Am Markt", "Schulstraße", "Mühlenweg"],
  towns: [
    ["Hamburg", "2035"],
    ["Köln", "5066"],
    ["Leipzig", "0410"],
    ["Freiburg", "7909"],
    ["Bremen", "2819"],
    ["Ulm", "8907"],
  ],
  mailDomains: ["postfach.example", "mail.example", "briefkasten.test", "eilpost.example"],
};

const BELGIAN: Locale = {
  ...FRENCH,
  family: words(`Claes Collard Declercq Delvaux Denis Dupuis François Gérard Goossens Hermans Jacobs Janssens Lambrecht
    Leroy Maes Martens Michiels Peeters Pirard Renson Servais Thys Verhoeven Vermeulen Wauters Willems`),
  towns: [
    ["Namur", "500"],
    ["Liège", "400"],
    ["Mons", "700"],
    ["Gand", "900"],
  ],
};

export const LOCALES: Record<Country, Locale> = { FR: FRENCH, GB: BRITISH, DE: GERMAN, BE: BELGIAN };
