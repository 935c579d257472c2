-- What if a penguin's bill were longer? Inputs given by name.
SELECT
    bill AS bill_length_mm,
    species(island := 'Dream', bill_length_mm := bill, bill_depth_mm := 18.4, flipper_length_mm := 193,
            body_mass_g := 3700, sex := 'female') AS species,
    round(species_proba(island := 'Dream', bill_length_mm := bill, bill_depth_mm := 18.4, flipper_length_mm := 193,
            body_mass_g := 3700, sex := NULL)['Chinstrap'], 3) AS chinstrap_if_sex_is_unknown
FROM generate_series(38, 50, 3) AS series (bill);
