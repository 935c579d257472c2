-- What 'sqlml apply' brings the catalog to. Each function follows the alias 'champion' of its model.

CREATE FUNCTION delay_risk USING MODEL 'models:/delay_risk@champion'
  OPTIONS (comment = 'Whether a flight arrives more than 15 minutes late');

CREATE FUNCTION arrival_delay USING MODEL 'models:/arrival_delay@champion'
  OPTIONS (comment = 'By how many minutes a flight is likely to be late: the median');
