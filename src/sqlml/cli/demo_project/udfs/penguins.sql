CREATE FUNCTION species USING MODEL 'models:/species@champion'
  OPTIONS (comment = 'Which species a penguin is');
