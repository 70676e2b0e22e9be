"""What signs, units and abbreviations are called: the tables behind `speakable`."""


def _regular(**names: str) -> dict[str, tuple[str, str]]:
    return {unit: (name, f"{name}s") for unit, name in names.items()}


_RATES = {
    "km/h": "kilometer{} per hour", "kmh": "kilometer{} per hour", "kph": "kilometer{} per hour",
    "mph": "mile{} per hour", "m/s": "meter{} per second", "m/s²": "meter{} per second squared",
    "km/s": "kilometer{} per second", "g/cm³": "gram{} per cubic centimeter", "kg/m³": "kilogram{} per cubic meter",
    "mg/L": "milligram{} per liter", "mg/dL": "milligram{} per deciliter", "g/L": "gram{} per liter",
    "°C": "degree{} Celsius", "℃": "degree{} Celsius", "°F": "degree{} Fahrenheit", "℉": "degree{} Fahrenheit",
    "° C": "degree{} Celsius", "° F": "degree{} Fahrenheit", "°": "degree{}",
    "mm²": "square millimeter{}", "cm²": "square centimeter{}", "m²": "square meter{}", "km²": "square kilometer{}",
    "sq km": "square kilometer{}", "sq mi": "square mile{}", "sq ft": "square foot{}",
    "mm³": "cubic millimeter{}", "cm³": "cubic centimeter{}", "m³": "cubic meter{}", "km³": "cubic kilometer{}",
    "kWh": "kilowatt hour{}", "MWh": "megawatt hour{}", "GWh": "gigawatt hour{}", "TWh": "terawatt hour{}",
}  # fmt: skip

UNITS: dict[str, tuple[str, str]] = {
    **{unit: (name.format(""), name.format("s")) for unit, name in _RATES.items()},
    **_regular(
        nm="nanometer", mm="millimeter", cm="centimeter", m="meter", km="kilometer", mi="mile", yd="yard",
        mg="milligram", g="gram", kg="kilogram", lb="pound", lbs="pound", oz="ounce", ml="milliliter", mL="milliliter",
        dl="deciliter", dL="deciliter", L="liter", ha="hectare", Hz="hertz", kHz="kilohertz", MHz="megahertz",
        GHz="gigahertz", W="watt", kW="kilowatt", MW="megawatt", GW="gigawatt", V="volt", kV="kilovolt", kJ="kilojoule",
        MJ="megajoule", cal="calorie", kcal="kilocalorie", Pa="pascal", hPa="hectopascal", kPa="kilopascal",
        MPa="megapascal", ms="millisecond", min="minute", hr="hour", hrs="hour", KB="kilobyte", kB="kilobyte",
        MB="megabyte", GB="gigabyte", TB="terabyte", dB="decibel", mol="mole",
    ),
    "µm": ("micrometer", "micrometers"), "μm": ("micrometer", "micrometers"),
    "µg": ("microgram", "micrograms"), "μg": ("microgram", "micrograms"),
    "ft": ("foot", "feet"), "sq ft": ("square foot", "square feet"),
    "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"), "rpm": ("revolution per minute", "revolutions per minute"),
    "%": ("percent", "percent"), "‰": ("per mille", "per mille"),
}  # fmt: skip
"""Written unit → (said after 1, said after any other number). Left out where a letter means too much (s, h, K)."""

CURRENCIES: dict[str, tuple[str, str]] = {
    "$": ("dollar", "dollars"), "US$": ("U S dollar", "U S dollars"), "A$": ("Australian dollar", "Australian dollars"),
    "C$": ("Canadian dollar", "Canadian dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"),
    "¥": ("yen", "yen"), "₹": ("rupee", "rupees"), "₩": ("won", "won"),
}  # fmt: skip

MINOR_CURRENCIES: dict[str, tuple[str, str]] = {
    "$": ("cent", "cents"), "US$": ("cent", "cents"), "A$": ("cent", "cents"), "C$": ("cent", "cents"),
    "€": ("cent", "cents"), "£": ("penny", "pence"),
}  # fmt: skip

SYMBOLS = {
    "&": "and", "%": "percent", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "≈": "about",
    "~": "about", "≥": "at least", "≤": "at most", ">": "greater than", "<": "less than", "°": "degrees", "@": "at",
    "§": "section", "€": "euros", "£": "pounds", "$": "dollars", "→": "to", "−": "minus",
}  # fmt: skip

TITLES = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miss", "Prof": "Professor", "Gen": "General",
    "Sen": "Senator", "Rep": "Representative", "Gov": "Governor", "Capt": "Captain", "Lt": "Lieutenant",
    "Col": "Colonel", "Sgt": "Sergeant", "Rev": "Reverend",
}  # fmt: skip

ABBREVIATIONS: dict[str, tuple[str, bool]] = {
    "approx.": ("approximately", False), "ca.": ("circa", False), "e.g.": ("for example", False),
    "eg.": ("for example", False), "i.e.": ("that is", False), "vs.": ("versus", False), "vs": ("versus", False),
    "cf.": ("compare", False), "viz.": ("namely", False), "etc.": ("et cetera", True), "et al.": ("and others", True),
    "Inc.": ("Incorporated", True), "Ltd.": ("Limited", True), "Corp.": ("Corporation", True),
    "Co.": ("Company", True), "Bros.": ("Brothers", True), "Jr.": ("Junior", True), "Sr.": ("Senior", True),
    "Ave.": ("Avenue", True), "Blvd.": ("Boulevard", True), "Rd.": ("Road", True), "St.": ("Street", True),
    "Mt.": ("Mount", False), "Ft.": ("Fort", False), "Dept.": ("Department", False), "dept.": ("department", True),
    "govt.": ("government", True), "est.": ("established", False), "Ph.D.": ("P H D", True), "min.": ("minutes", True),
    "sec.": ("seconds", True), "hr.": ("hour", True), "hrs.": ("hours", True), "yrs.": ("years", True),
    "w/": ("with", False), "w/o": ("without", False),
}  # fmt: skip
"""Abbreviation → (what is said, whether a following capital or the end means that its point also ends the sentence)."""

ROMAN_LABELS = "Chapter|Part|Volume|Book|Act|Scene|Phase|Type|Stage|Class|Section|Article|Title|Appendix|Super Bowl"

REGNAL_NAMES = (
    "Henry|Louis|Charles|George|Elizabeth|Edward|James|William|Richard|John|Paul|Pius|Benedict|Philip|Frederick|"
    "Napoleon|Alexander|Nicholas|Catherine|Ramesses|Ramses|Gregory|Leo|Innocent|Ptolemy|Xerxes|Darius|Otto|Wilhelm|"
    "Ivan|Gustav|Christian|Ferdinand|Francis|Leopold|Mary|Peter|Robert|Stephen|Urban|Clement"
)
